import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** A whole Fairlead in processes of its own. */
export interface StartedFairlead {
  url: string
  /** Of the operators' listener. */
  consoleUrl: string
  key: string
  secret: string
  dataDir: string
  port: number
  /** Process ids as they are at the moment; a process that is not there is missing. */
  pids(): { main: number } & Processes
  /** All that it printed so far. */
  output(): string
  /** Signals the main process, or every process of it, the database's own included. */
  kill(signal: NodeJS.Signals, whom?: 'main' | 'everything'): Promise<void>
  /** SIGTERM, and waits. Resolves with the exit code. */
  stop(): Promise<number | null>
  /** stop(), and removes the data folder. */
  remove(): Promise<void>
}

/** Process ids by name; workers are called `worker`, `worker-2` and so on. */
export interface Processes {
  web?: number
  worker?: number
  [further: `worker-${number}`]: number
  postgres?: number
}

export interface FairleadOptions {
  /** Added to a bare environment, which holds no FAIRLEAD_* variable of the machine. */
  env?: Record<string, string>
  /** To start again on the same data; unset: a new temporary folder. */
  dataDir?: string
  port?: number
}

export const KEY = 'testkey'
export const SECRET = 'testsecret'

/** Runs `fairlead` with some arguments to its end. */
export async function runFairlead(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: bareEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (output.stdout += chunk))
  child.stderr.on('data', (chunk) => (output.stderr += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...output }
}

/** Starts a Fairlead with every role and waits until it answers. */
export async function startFairlead(options: FairleadOptions = {}): Promise<StartedFairlead> {
  const dataDir = options.dataDir ?? realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-e2e-')))
  const [port, consolePort] = [options.port ?? (await freePort()), await freePort()]
  const env = {
    FAIRLEAD_DATA_DIR: dataDir,
    FAIRLEAD_PORT: String(port),
    FAIRLEAD_CONSOLE_PORT: String(consolePort),
    FAIRLEAD_API_KEY: KEY,
    FAIRLEAD_API_SECRET: SECRET,
    // The same on machines of any size.
    FAIRLEAD_WORKERS: '1',
    ...options.env,
  }
  const child = spawn(process.execPath, [MAIN, 'start'], {
    env: bareEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const url = `http://127.0.0.1:${port}`
  try {
    await whenHealthy(url, child, () => output)
  } catch (error) {
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await exit
    }
    if (!options.dataDir) rmSync(dataDir, { recursive: true, force: true })
    throw error
  }

  const pids = () => ({ main: child.pid!, ...processesOf(child.pid!) })
  const ended = () => child.exitCode !== null || child.signalCode !== null
  const started: StartedFairlead = {
    url,
    consoleUrl: `http://127.0.0.1:${env.FAIRLEAD_CONSOLE_PORT}`,
    key: env.FAIRLEAD_API_KEY,
    secret: env.FAIRLEAD_API_SECRET,
    dataDir,
    port,
    pids,
    output: () => output,
    async kill(signal, whom = 'main') {
      const exit = ended() ? null : once(child, 'exit')
      const targets = whom === 'everything' ? Object.values(pids()) : [child.pid!]
      for (const pid of targets) sendSignal(pid, signal)
      if (signal === 'SIGKILL') await exit
    },
    async stop() {
      if (!ended()) {
        const exit = once(child, 'exit')
        child.kill('SIGTERM')
        await exit
      }
      return child.exitCode
    },
    async remove() {
      await started.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
  return started
}

/** Waits until /healthz answers 200. */
export async function whenHealthy(url: string, child?: ChildProcess, output: () => string = () => ''): Promise<void> {
  // The end of the output says why.
  const said = () => output().slice(-2_000)
  await until(
    () => `Fairlead is healthy; it said: ${said()}`,
    async () => {
      if (child && (child.exitCode !== null || child.signalCode !== null)) {
        throw new Error(`Fairlead ended with ${child.signalCode ?? child.exitCode}: ${said()}`)
      }
      const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(10_000) }).catch(() => null)
      await answer?.body?.cancel()
      return answer?.status === 200
    },
  )
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function bareEnvironment(env: Record<string, string>): Record<string, string> {
  const { PATH = '', HOME = '', TMPDIR } = process.env
  return { PATH, HOME, ...(TMPDIR ? { TMPDIR } : {}), ...env }
}

/** Process ids of a process's own children. */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => / [A-Z] (\d+)/.exec(readProc(`${name}/stat`).replace(/^.*\)/s, ''))?.[1] === String(parent))
    .map(Number)
}

/** The main process's children, told apart by their command line. */
export function processesOf(main: number): Processes {
  const found: Processes = {}
  for (const pid of childrenOf(main)) {
    const command = readProc(`${pid}/cmdline`)
    const role = /^fairlead (web|worker(?:-\d+)?)\0/.exec(command)?.[1]
    if (role) found[role as keyof Processes] = pid
    else if (command.includes('/bin/postgres')) found.postgres = pid
  }
  return found
}

/** Empty when the process ended while we looked. */
function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8')
  } catch {
    return ''
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
