import { AsyncLocalStorage } from 'node:async_hooks'

/*
 * Somebody who waits for an answer waits for so long and no longer. What was still under way for them then must not
 * take effect any more, since they were told that it probably did not. So everything that runs on behalf of callers
 * knows them, and the database handle asks, before each statement and each COMMIT, whether one of them was answered
 * (docs/decisions/0022-answered-within-a-bound.md).
 */

/** Somebody who waits for an answer. */
export interface Caller {
  /** Was answered without the outcome; from now on nothing may be committed for them. */
  isGone: boolean
  /** COMMITs under way for them. */
  committing: number
  /** COMMITs done for them. */
  committed: number
}

/** What had become of a call when its time was over. `committing`: nobody knows yet. */
export type Effect = 'none' | 'committing' | 'committed'

/** The time of a call was over before its outcome was known. */
export class TooLate extends Error {
  readonly effect: Effect

  constructor(effect: Effect) {
    super('the outcome was not known in time')
    this.effect = effect
  }
}

/** Thrown into what runs for a caller who is gone; nobody waits for it. */
export class CallerGone extends Error {
  constructor() {
    super('the caller was answered before this could be done')
  }
}

const NOBODY: readonly Caller[] = []
const current = new AsyncLocalStorage<readonly Caller[]>()

/** On whose behalf the running code works; nobody in loops, and in whatever waits for no answer. */
export const callersNow = (): readonly Caller[] => current.getStore() ?? NOBODY

/** Works on behalf of these callers, and of no others. Without callers: what many share, such as filling a cache. */
export const onBehalfOf = <T>(callers: readonly Caller[], work: () => T): T => current.run(callers, work)

/** Whether somebody among them was answered already. */
export const isSomebodyGone = (callers: readonly Caller[]): boolean => callers.some(({ isGone }) => isGone)

/** @throws CallerGone when somebody among them was answered already */
export function stopIfGone(callers: readonly Caller[]): void {
  if (isSomebodyGone(callers)) throw new CallerGone()
}

/**
 * Works for a caller who is answered within a time, whatever becomes of the work.
 *
 * @param ms how long they wait
 * @throws TooLate when that time is over; from then on nothing is committed for this caller
 */
export async function answerWithin<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const caller: Caller = { isGone: false, committing: 0, committed: 0 }
  const outcome = onBehalfOf([caller], work)
  // What still fails after the answer is of no interest to anybody.
  outcome.catch(() => {})
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      caller.isGone = true
      reject(new TooLate(effectOf(caller)))
    }, ms)
  })
  try {
    return await Promise.race([outcome, late])
  } finally {
    clearTimeout(timer)
  }
}

function effectOf({ committing, committed }: Caller): Effect {
  if (committing > 0) return 'committing'
  return committed > 0 ? 'committed' : 'none'
}
