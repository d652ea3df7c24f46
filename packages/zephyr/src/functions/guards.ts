import { Halt } from '../errors.ts'
import type { Run } from '../run.ts'
import { json, show } from '../text.ts'
import { isObject, Labelled, truthy } from '../values.ts'
import { type Arg, type Definition, define } from './definition.ts'

/** Lists and objects become JSON text: authors pass data to cancel triggers that way. */
function reason(run: Run, message: Arg): string {
  if (message === undefined || message === null) return ''
  if (Array.isArray(message) || (isObject(message) && !(message instanceof Labelled))) return json(run, message)
  return show(run, message)
}

export const guardFunctions: Definition[] = [
  define(
    'assert(expr [, message])',
    1,
    (run, expr, message) => {
      if (!truthy(expr ?? null)) throw new Halt('assert', reason(run, message))
      return null
    },
    { group: 'guard', taint: 'clears' },
  ),
  define(
    'cancel(expr [, message])',
    0,
    (run, expr, message) => {
      if (expr === undefined || truthy(expr)) throw new Halt('cancel', reason(run, message))
      return null
    },
    { group: 'guard', taint: 'clears' },
  ),
]
