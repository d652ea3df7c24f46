import type { Command } from 'commander'

/** What a command reads from and writes to. */
export interface Terminal {
  env: Record<string, string | undefined>
  /** A line on standard output: what the command was asked for. */
  print(text: string): void
  /** A line on standard error. */
  complain(text: string): void
}

/**
 * A command of `fairlead`, in a file of its own. Its action throws an OperatorError for what the person can put right,
 * and calls `fail` with an exit code when it has said everything itself.
 */
export interface CliCommand {
  register(program: Command, terminal: Terminal, fail: (code: number) => void): void
}
