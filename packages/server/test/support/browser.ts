import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Browser, chromium } from 'playwright-core'

/**
 * Starts a headless Chromium that came with npm: no download, no system packages, as root too. It reaches nothing but what a test opens.
 */
export async function launchBrowser(): Promise<Browser> {
  const folder = await unpacked()
  return chromium.launch({
    executablePath: join(folder, 'chromium'),
    headless: true,
    env: {
      ...process.env,
      LD_LIBRARY_PATH: join(folder, 'al2023', 'lib'),
      FONTCONFIG_FILE: join(folder, 'fonts', 'fonts.conf'),
      XDG_CACHE_HOME: folder,
      HOME: folder,
    },
    args: [
      '--no-sandbox',
      '--no-zygote',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-domain-reliability',
      '--disable-sync',
      '--no-pings',
      '--no-first-run',
      '--font-render-hinting=none',
    ],
  })
}

/** Unpacks once per version, complete or not at all: test files run side by side. */
async function unpacked(): Promise<string> {
  const entry = fileURLToPath(import.meta.resolve('@sparticuz/chromium'))
  const root = join(dirname(entry), '..')
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const cache = fileURLToPath(new URL('../../../../node_modules/.cache', import.meta.url))
  const folder = join(cache, `chromium-${version}`)
  if (existsSync(folder)) return folder

  const unfinished = `${folder}.${randomBytes(6).toString('hex')}`
  mkdirSync(unfinished, { recursive: true })
  try {
    const program = fileURLToPath(new URL('./chromium.ts', import.meta.url))
    await promisify(execFile)(process.execPath, [program], { env: { ...process.env, TMPDIR: unfinished } })
    renameSync(unfinished, folder)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
  return folder
}
