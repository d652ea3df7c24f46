import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runFairlead, type StartedFairlead, startFairlead } from '../packages/server/test/support/fairlead.ts'
import type { BareAnswers } from './bare.ts'
import type { BenchOptions } from './measure.ts'

/** Starts a Fairlead with every role on an empty data folder, without rate limits. `remove()` ends it. */
export async function startMeasured(
  { profile }: BenchOptions,
  env: Record<string, string> = {},
): Promise<StartedFairlead> {
  const dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'fairlead-bench-')))
  const profiling = profile && { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profile}` }
  try {
    for (const args of [['migrate'], ['setting', 'set', 'rate_limits', 'false']]) {
      const { code, stderr } = await runFairlead(args, { FAIRLEAD_DATA_DIR: dataDir })
      if (code !== 0) throw new Error(`fairlead ${args.join(' ')}: ${stderr}`)
    }
    return await startFairlead({ dataDir, env: { ...env, ...profiling } })
  } catch (error) {
    rmSync(dataDir, { recursive: true, force: true })
    throw error
  }
}

/** Starts one that hands its mail to a sink, from the sender of campaign-content.ts, over so many connections. */
export function startSending(
  options: BenchOptions,
  sink: { port: number },
  connections: number,
  env: Record<string, string> = {},
): Promise<StartedFairlead> {
  return startMeasured(options, {
    FAIRLEAD_SMTP_URL: `smtp://127.0.0.1:${sink.port}`,
    FAIRLEAD_SMTP_CONNECTIONS: String(connections),
    FAIRLEAD_FROM: 'The Shop <shop@example.org>',
    ...env,
  })
}

/** Starts the bare server of bare.ts in a process of its own. */
export async function startBare(answers: BareAnswers): Promise<{ port: number; stop(): Promise<void> }> {
  const child = fork(new URL('./bare.ts', import.meta.url), [], { execArgv: [] })
  child.send(answers)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return {
    port,
    async stop() {
      const exit = once(child, 'exit')
      child.disconnect()
      await exit
    },
  }
}
