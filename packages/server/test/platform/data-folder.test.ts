import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lockDataFolder } from '../../src/platform/data-folder.ts'

let parent: string
beforeAll(() => {
  parent = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-lock-')))
})
afterAll(() => rmSync(parent, { recursive: true, force: true }))

test('a folder is made private and belongs to one process', async () => {
  const folder = await lockDataFolder(join(parent, 'a', 'data'))
  expect(statSync(folder.path).mode & 0o777).toBe(0o700)
  await expect(lockDataFolder(folder.path)).rejects.toThrow(`another Fairlead runs on the data folder ${folder.path}`)
  await folder.release()
  await (await lockDataFolder(folder.path)).release()
})

test('two ways to a folder are one folder', async () => {
  const folder = await lockDataFolder(join(parent, 'b'))
  symlinkSync(folder.path, join(parent, 'link'))
  await expect(lockDataFolder(join(parent, 'link'))).rejects.toThrow('another Fairlead')
  await folder.release()
})

test('the lock goes with its process, also by kill -9', async () => {
  const module = fileURLToPath(new URL('../../src/platform/data-folder.ts', import.meta.url))
  const path = join(parent, 'c')
  const program = `const { lockDataFolder } = await import(${JSON.stringify(module)})
    await lockDataFolder(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  await expect(lockDataFolder(path)).rejects.toThrow('another Fairlead')
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
  await (await lockDataFolder(path)).release()
})

test('a folder that cannot be used is named with the reason', async () => {
  await expect(lockDataFolder('/dev/null/data')).rejects.toThrow(
    '/dev/null/data (FAIRLEAD_DATA_DIR) cannot be used: ENOTDIR',
  )
})
