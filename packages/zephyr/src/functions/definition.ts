import type { Run } from '../run.ts'
import type { Value } from '../values.ts'

/** `undefined`: the argument was not written at all; `null`: it was, and came to nothing. */
export type Arg = Value | undefined

/** Decides where a function may stand. */
export type Group =
  /** Computation only: everywhere. */
  | 'pure'
  /** About the user: everywhere but in link parameters. */
  | 'personal'
  /** `assert`, `cancel`: everywhere but in link parameters. */
  | 'guard'
  /** Addresses of the message: everywhere. */
  | 'message'
  /** Hands out a code: mail and scripts. */
  | 'promotion'
  /** Stores something with a mail: mail and scripts. */
  | 'append'
  /** Acts on the platform: trigger scripts. */
  | 'api'

/** One function of the language. */
export interface Definition {
  readonly name: string
  /** As in the reference, for messages and completion. */
  readonly signature: string
  readonly group: Group
  /** Arguments that must be written. */
  readonly required: number
  /** Too few arguments are refused at compile time instead of counting as `null`. */
  readonly strict?: boolean
  /** Needs the caller: only usable when the caller says it has it. */
  readonly host?: boolean
  /**
   * What becomes of visitors' text on hosted pages: `clears` makes it harmless, `carries` hands values on
   * that know it themselves; default: a result made from tainted arguments is tainted as a whole.
   */
  readonly taint?: 'clears' | 'carries'
  readonly call: (run: Run, a: Arg, b: Arg, c: Arg, d: Arg, e: Arg, f: Arg) => Value
}

/** Shorthand for the tables of this folder. */
export function define(
  signature: string,
  required: number,
  call: Definition['call'],
  more: Partial<Pick<Definition, 'group' | 'strict' | 'host' | 'taint'>> = {},
): Definition {
  return { name: signature.slice(0, signature.indexOf('(')), signature, required, call, group: 'pure', ...more }
}
