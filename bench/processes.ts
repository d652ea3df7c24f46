import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { childrenOf, type StartedFairlead } from '../packages/server/test/support/fairlead.ts'
import type { Measure } from './measure.ts'

const MB = 1024
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

type Part = 'main' | 'web' | 'worker' | 'postgres'

/** The processes of a Fairlead by what they do; those of PostgreSQL are one family. */
function families(fairlead: Pick<StartedFairlead, 'pids'>): Array<[Part, number[]]> {
  return Object.entries(fairlead.pids()).map(([part, pid]) => [
    part as Part,
    part === 'postgres' ? [pid, ...childrenOf(pid)] : [pid],
  ])
}

/**
 * Memory of each process now. PostgreSQL's share memory, which is counted once: the sum of their proportional shares
 * (`Pss`), where the resident size of each would count it again.
 */
export function memory(fairlead: Pick<StartedFairlead, 'pids'>, when: string): Measure[] {
  return families(fairlead).map(([part, pids]) => ({
    name: `memory of ${part}, ${when}`,
    value:
      (part === 'postgres'
        ? sum(pids, (pid) => field(`${pid}/smaps_rollup`, 'Pss'))
        : field(`${pids[0]}/status`, 'VmRSS')) / MB,
    unit: 'MB',
  }))
}

/** Seconds of CPU that each part has used so far, its ended children included. */
export function cpuSeconds(fairlead: Pick<StartedFairlead, 'pids'>): Map<Part, number> {
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
