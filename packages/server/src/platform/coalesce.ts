/**
 * Turns calls that arrive together into one call with a list: the first starts at once, those that come while it runs
 * wait and go together next. Throughput then follows the load by itself, without a timer.
 *
 * @param work answers every item, in order. When it throws because of what an item says, each is tried again alone, so
 *   that one bad item cannot spoil the others; broken machinery (no database) fails all at once
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
    resolve(answer: Answer): void
    reject(error: unknown): void
  }
  let waiting: Waiting[] = []
  let running = 0
  let isComing = false

  async function answer(batch: Waiting[]): Promise<void> {
    try {
      const answers = await work(batch.map((one) => one.item))
      for (const [index, one] of batch.entries()) one.resolve(answers[index]!)
    } catch (error) {
      if (batch.length === 1 || !isAboutAnItem(error)) for (const one of batch) one.reject(error)
      else for (const one of batch) await answer([one])
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
      waiting.push({ item, resolve, reject })
      soon()
    })
}

/** Data that PostgreSQL refuses (SQLSTATE classes 22 and 23), or a bug met in one of the items. */
function isAboutAnItem(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  if (typeof code === 'string') return /^2[23]/.test(code)
  return error instanceof TypeError || error instanceof RangeError
}
