import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { childrenOf, freePort, processesOf, whenHealthy } from '../packages/server/test/support/fairlead.ts'
import { type Measure, median } from './measure.ts'
import { memory } from './processes.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const ROUNDS = 3
/** After this long a process holds what it holds at rest, in ms. */
const REST = 2_000

/** `npm start` until /healthz answers 200: on an empty data folder, then again on the same. */
export async function run(): Promise<Measure[]> {
  const cold: number[] = []
  const warm: number[] = []
  let atRest: Measure[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-bench-')))
    try {
      const first = await start(dataDir)
      cold.push(first.seconds)
      await first.stop()
      const second = await start(dataDir)
      warm.push(second.seconds)
      if (round === ROUNDS - 1) {
        await sleep(REST)
        atRest = memory(second, 'at rest')
      }
      await second.stop()
    } finally {
      rmSync(dataDir, { recursive: true, force: true })
    }
  }
  return [
    { name: 'npm start to /healthz, empty data folder', value: median(cold), unit: 's', bar: { atMost: 10 } },
    { name: 'npm start to /healthz, again', value: median(warm), unit: 's', bar: { atMost: 5 } },
    ...atRest,
  ]
}

async function start(dataDir: string) {
  const { PATH = '', HOME = '' } = process.env
  const port = await freePort()
  const env = {
    PATH,
    HOME,
    FAIRLEAD_DATA_DIR: dataDir,
    FAIRLEAD_PORT: String(port),
    FAIRLEAD_CONSOLE_PORT: String(await freePort()),
  }
  const began = performance.now()
  const npm = spawn('npm', ['start', '--silent'], { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'pipe'] })
  let complaints = ''
  npm.stderr.on('data', (chunk) => (complaints += chunk))
  await whenHealthy(`http://127.0.0.1:${port}`, npm, () => complaints)
  const seconds = (performance.now() - began) / 1000
  const main = supervisorBelow(npm)
  return {
    seconds,
    pids: () => ({ main, ...processesOf(main) }),
    async stop() {
      const exit = once(npm, 'exit')
      process.kill(main, 'SIGTERM')
      await exit
    },
  }
}

/** npm runs the script through a shell, which makes room for Fairlead (`exec`) or stays above it. */
function supervisorBelow(npm: ChildProcess): number {
  let pid = npm.pid!
  while (processesOf(pid).web === undefined) {
    const [child] = childrenOf(pid)
    if (child === undefined) throw new Error('npm start runs, yet its processes are not found')
    pid = child
  }
  return pid
}
