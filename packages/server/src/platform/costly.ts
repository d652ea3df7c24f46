/** Finding out may take this share of the time: what took 1 s is good for 20 s, and what was quick is never kept. */
const REST_AFTER_WORK = 20
/** Milliseconds. */
const QUICK = 50

/**
 * Answers by id, of which those that were expensive to find out are kept for a while.
 *
 * @param load finds out about ids; what it does not mention is not there
 * @param time milliseconds from anywhere, never going back
 */
export function keepCostly<Value>(
  load: (ids: readonly number[]) => Promise<Map<number, Value>>,
  time: () => number = () => performance.now(),
): (ids: readonly number[]) => Promise<Map<number, Value>> {
  const kept = new Map<number, { value: Value | undefined; until: number }>()
  return async (ids) => {
    const began = time()
    const answers = new Map<number, Value>()
    const put = (id: number, value: Value | undefined) => value !== undefined && answers.set(id, value)
    const open: number[] = []
    for (const id of ids) {
      const known = kept.get(id)
      if (known && known.until > began) put(id, known.value)
      else open.push(id)
    }
    if (open.length === 0) return answers
    const found = await load(open)
    const ended = time()
    for (const id of open) {
      const value = found.get(id)
      put(id, value)
      if (ended - began > QUICK) kept.set(id, { value, until: ended + (ended - began) * REST_AFTER_WORK })
      else kept.delete(id)
    }
    return answers
  }
}
