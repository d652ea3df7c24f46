import { execFile } from 'node:child_process'
import type { Account } from './account.ts'

/**
 * The environment of the server's programs: nothing of Fairlead's own, which holds secrets, and no PG* variables that
 * would change what they do.
 */
export const serverEnvironment = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/** What to hand to `spawn` so that a program runs as the account. */
export function identity(account: Account | null): { uid?: number; gid?: number } {
  return account ? { uid: account.uid, gid: account.gid } : {}
}

export type Outcome = { ok: true; output: string } | { ok: false; reason: string }

/** Runs one of the server's programs to its end, with some text on its standard input. */
export function runProgram(
  file: string,
  args: string[],
  cwd: string,
  account: Account | null,
  input = '',
): Promise<Outcome> {
  return new Promise((resolve) => {
    try {
      const child = execFile(
        file,
        args,
        { cwd, env: serverEnvironment, ...identity(account) },
        (error, stdout, stderr) => {
          if (!error) return resolve({ ok: true, output: stdout })
          resolve({ ok: false, reason: stderr.trim().split('\n').pop() || error.message })
        },
      )
      // A program that ends without reading closes the pipe; its exit code says why.
      child.stdin?.on('error', () => {})
      child.stdin?.end(input)
    } catch (error) {
      resolve({ ok: false, reason: String(error) })
    }
  })
}
