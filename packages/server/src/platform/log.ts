import { type Logger, pino } from 'pino'

/** Structured log. Everything goes to standard error; standard output belongs to what a command was asked to print. */
export type Log = Logger

/** @param part which part of the house speaks: `web`, `worker`, `supervisor` … */
export function createLog(part: string, level: 'debug' | 'info' | 'warn' | 'silent' = 'info'): Log {
  const options = {
    level,
    base: { part, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: describeError },
  }
  return process.stderr.isTTY
    ? pino(options, { write: (line) => process.stderr.write(readable(line)) })
    : pino(options, pino.destination({ dest: 2, sync: true }))
}

/** What there is to know of an error, without the values of rows that PostgreSQL quotes: they are people's data. */
export function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { detail: _, where: __, ...described } = pino.stdSerializers.err(error)
  return described
}

const LEVELS: Record<number, string> = { 20: 'debug', 30: 'info', 40: 'WARN', 50: 'ERROR', 60: 'FATAL' }

/** One log record the way a person at a terminal wants it: `20:31:07 web WARN the database does not answer (code=…)`. */
function readable(line: string): string {
  const { level, time, part, pid: _pid, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>
  const facts = Object.entries(rest).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const trace = (err as { stack?: string } | undefined)?.stack
  const stamp = String(time).slice(11, 19)
  const tail = facts.length > 0 ? ` (${facts.join(' ')})` : ''
  return `${stamp} ${part} ${LEVELS[Number(level)] ?? level} ${msg ?? ''}${tail}\n${trace ? `${trace}\n` : ''}`
}
