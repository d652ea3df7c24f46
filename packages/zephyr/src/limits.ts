/** Budgets of one compilation. */
export interface CompileLimits {
  /** Longest source, in UTF-16 units. */
  source: number
  /** Nesting of parentheses, lists, arguments, branches … in one expression, and of blocks in a template. */
  nesting: number
}

/** Budgets of one rendering. Every field of a message has its own. */
export interface Limits {
  /** Rounds of all loops, comprehensions, `map`, `filter` … together. */
  rounds: number
  /** Lambdas calling lambdas. */
  lambdaDepth: number
  /** Longest output of a part, and longest single text, in UTF-16 units. */
  output: number
  /** Milliseconds. */
  time: number
  /** Text and list cells produced by functions on the way, in UTF-16 units. */
  work: number
  /** Longest list. */
  list: number
}

export const COMPILE_LIMITS: CompileLimits = { source: 1_000_000, nesting: 200 }

export const MAIL_LIMITS: Limits = {
  rounds: 100_000,
  lambdaDepth: 64,
  output: 2_000_000,
  time: 1_000,
  work: 64_000_000,
  list: 1_000_000,
}

export const PAGE_LIMITS: Limits = { ...MAIL_LIMITS, time: 250 }

/** Nesting of lists and objects that printing, comparing and copying follow. */
export const VALUE_DEPTH = 100
