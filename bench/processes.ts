import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { childrenOf, type StartedFairlead } from '../packages/server/test/support/fairlead.ts'
import type { Measure } from './measure.ts'

const MB = 1024
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

const PARTS = ['main', 'web', 'worker', 'postgres'] as const
export type Part = (typeof PARTS)[number]

/** A Fairlead, or as much of it as is looked at here. */
type Running = Pick<StartedFairlead, 'pids'>

/** The processes of a Fairlead by what they do: all workers are one family, and so are all processes of PostgreSQL. */
function families(fairlead: Running): Array<[Part, number[]]> {
  const pids = Object.entries(fairlead.pids())
  return PARTS.flatMap((part): Array<[Part, number[]]> => {
    const own = pids.flatMap(([name, pid]) => (name.replace(/-\d+$/, '') === part ? [pid] : []))
    if (own.length === 0) return []
    return [[part, part === 'postgres' ? own.flatMap((pid) => [pid, ...childrenOf(pid)]) : own]]
  })
}

/** Memory of each part now. */
export function memory(fairlead: Running, when: string): Measure[] {
  return families(fairlead).map(([part, pids]) => ({
    name: `memory of ${part}, ${when}`,
    value: megabytes(part, pids),
    unit: 'MB',
  }))
}

/** Memory of all workers together now, in MB. */
export function memoryOfWorkers(fairlead: Running): number {
  return megabytes('worker', new Map(families(fairlead)).get('worker') ?? [])
}

/**
 * PostgreSQL's processes share memory, which is counted once: the sum of their proportional shares (`Pss`), where the
 * resident size of each would count it again.
 */
function megabytes(part: Part, pids: number[]): number {
  return (
    sum(pids, (pid) => (part === 'postgres' ? field(`${pid}/smaps_rollup`, 'Pss') : field(`${pid}/status`, 'VmRSS'))) /
    MB
  )
}

/** Seconds of CPU that each part has used so far, its ended children included. */
export function cpuSeconds(fairlead: Running): Map<Part, number> {
  return new Map(families(fairlead).map(([part, pids]) => [part, sum(pids, ticks) / TICKS]))
}

function ticks(pid: number): number {
  const fields = read(`${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ')
  // utime, stime, and the same of children that ended: fields 14 to 17 of proc(5), counted from the state, the third.
  return fields.slice(11, 15).reduce((total, field) => total + Number(field), 0)
}

const field = (path: string, name: string) =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(read(path))?.[1] ?? 0)

const sum = (pids: number[], of: (pid: number) => number) => pids.reduce((total, pid) => total + of(pid), 0)

function read(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8')
  } catch {
    return ''
  }
}
