import { setTimeout as sleep } from 'node:timers/promises'
import { type Caller, CallerGone, callersNow, isSomebodyGone, onBehalfOf } from './callers.ts'
import { isCollision, isRolledBack, pauseAfter } from './rolled-back.ts'

/** Attempts of an element that only collides with other transactions. With their pauses they take about a second. */
const ATTEMPTS_ALONE = 12

/** Length of the line at which those who were answered meanwhile are looked for. */
const SWEEP = 4_000

/**
 * Turns calls that arrive together into one call with a list: the first starts at once, those that come while it runs
 * wait and go together next. Throughput then follows the load by itself, without a timer.
 *
 * A list that fails is taken apart, by halves, so that one bad element cannot spoil its neighbours. That is done only
 * where the error proves that nothing was applied (`isRolledBack`): broken machinery (no database, a lost connection)
 * fails the whole list. An element that collides even when alone is tried again for a while beside the lists.
 *
 * A list runs on behalf of the callers of its elements. Elements whose caller was answered already are dropped before
 * it starts; when that happens on the way it is rolled back, and run again without them.
 *
 * @param work answers every item, in order. It has to apply all of it or nothing: one transaction, or what may be
 *   done twice
 * @param options.atOnce most lists at work at the same time
 * @param options.size most items in a list
 * @param options.linger how long to wait for company before starting, in ms, where an answer is not urgent
 */
export function coalesce<Item, Answer>(
  work: (items: Item[]) => Promise<Answer[]>,
  { atOnce = 1, size = 500, linger = 0 }: { atOnce?: number; size?: number; linger?: number } = {},
): (item: Item) => Promise<Answer> {
  interface Waiting {
    item: Item
    callers: readonly Caller[]
    resolve(answer: Answer): void
    reject(error: unknown): void
  }
  let waiting: Waiting[] = []
  let running = 0
  let isComing = false
  let sweepAt = SWEEP
  const colliding: Waiting[] = []
  let isUntangling = false

  async function answer(batch: readonly Waiting[]): Promise<void> {
    const awaited = stillAwaited(batch)
    if (awaited.length === 0) return
    try {
      const answers = await workFor(awaited)
      for (const [index, one] of awaited.entries()) one.resolve(answers[index]!)
    } catch (error) {
      if (error instanceof CallerGone && awaited.some(({ callers }) => isSomebodyGone(callers))) await answer(awaited)
      else if (!isRolledBack(error)) for (const one of awaited) one.reject(error)
      else if (awaited.length > 1) {
        const half = awaited.length >> 1
        await answer(awaited.slice(0, half))
        await answer(awaited.slice(half))
      } else if (isCollision(error)) {
        colliding.push(awaited[0]!)
        void untangle()
      } else awaited[0]!.reject(error)
    }
  }

  const workFor = (batch: readonly Waiting[]) =>
    onBehalfOf(
      batch.flatMap(({ callers }) => callers),
      () => work(batch.map(({ item }) => item)),
    )

  /** Those whose callers still wait; the others are turned away. */
  function stillAwaited(batch: readonly Waiting[]): Waiting[] {
    return batch.filter((one) => {
      const isGone = isSomebodyGone(one.callers)
      if (isGone) one.reject(new CallerGone())
      return !isGone
    })
  }

  /** Elements that collide are dealt with one by one; lists go on meanwhile. */
  async function untangle(): Promise<void> {
    if (isUntangling) return
    isUntangling = true
    for (let one = colliding.shift(); one; one = colliding.shift()) await untangleOne(one)
    isUntangling = false
  }

  async function untangleOne(one: Waiting): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await sleep(pauseAfter(attempt))
      if (stillAwaited([one]).length === 0) return
      try {
        const [answer] = await workFor([one])
        return one.resolve(answer!)
      } catch (error) {
        if (attempt >= ATTEMPTS_ALONE || !isCollision(error)) return one.reject(error)
      }
    }
  }

  function run(): void {
    isComing = false
    while (running < atOnce && waiting.length > 0) {
      const batch = waiting.slice(0, size)
      waiting = waiting.slice(size)
      running += 1
      void answer(batch).finally(() => {
        running -= 1
        if (linger > 0) soon()
        else run()
      })
    }
  }

  function soon(): void {
    if (isComing || waiting.length === 0) return
    isComing = true
    // Calls made in the same turn of the event loop go together even when nothing runs yet.
    if (linger > 0) setTimeout(run, linger)
    else setImmediate(run)
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, callers: callersNow(), resolve, reject })
      // While a database hangs, the line would otherwise grow by everybody who has been turned away meanwhile.
      if (waiting.length >= sweepAt) {
        waiting = stillAwaited(waiting)
        sweepAt = Math.max(SWEEP, 2 * waiting.length)
      }
      soon()
    })
}
