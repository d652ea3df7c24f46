import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import { waitClassOf } from './backoff.ts'
import { hasten, note, RECOVERED_AFTER, readTroubled, type Seen, type Troubled } from './hasten.ts'
import type { TransmitOutcome } from './transport.ts'

/**
 * Sees which domains refuse mail for now, and which of them take it again. Mail that was refused waits for minutes or
 * hours. Once its domain has taken mail for half a minute without such a refusal, what waits for it is brought forward:
 * each message once, few at first, and no further at the first refusal. What is refused again waits as long as its
 * attempts say, so a server that greylists is not hammered.
 *
 * What workers saw stands in `delivery_domain`, so all of them judge by the same, and one that starts anew goes on.
 */
export interface Recovery {
  saw(domain: string, outcome: TransmitOutcome): void
  /** Writes what was seen, and takes the next step of each domain that has recovered. Never rejects. */
  look(): Promise<void>
  start(): void
  stop(): Promise<void>
}

/** Looks this often while some domain is in trouble, in ms. */
const LOOK = 1_000
/** Asks this often whether another worker knows of trouble, in looks. */
const ASK = 5
/** Parts of the queue that are searched in one look for messages to a domain, if there are none in the first. */
const PARTS = 10
/** Domains in trouble that are watched at most; others wait for their time. */
const WATCHED = 1_000

export function createRecovery(parts: {
  db: Database
  clock: Clock
  log: Log
  /** Called when messages are due. */
  wake: () => void
}): Recovery {
  const { db, clock, log, wake } = parts
  let seen = new Map<string, Seen>()
  let troubled = new Map<string, Troubled>()
  let looks = 0
  let looking: Promise<void> | null = null
  let timer: NodeJS.Timeout | null = null

  async function lookOnce(): Promise<void> {
    const noting = [...seen.values()]
    looks += 1
    if (noting.length === 0 && troubled.size === 0 && looks % ASK !== 1) return
    seen = new Map()
    try {
      if (noting.length > 0) await note(db, noting)
    } catch (error) {
      // What was seen since is newer.
      seen = new Map([...noting.map((one) => [one.domain, one] as const), ...seen])
      throw error
    }
    const now = clock.now()
    troubled = new Map((await readTroubled(db, now, WATCHED)).map((one) => [one.domain, one]))
    for (const { domain, acceptedAt } of troubled.values()) {
      if (!acceptedAt || now.getTime() - acceptedAt.getTime() < RECOVERED_AFTER) continue
      let step = await hasten(db, domain, now)
      for (let parts = 1; parts < PARTS && step && step.hastened === 0 && !step.isLast; parts++) {
        step = await hasten(db, domain, now)
      }
      if (!step || step.hastened === 0) continue
      log.info({ domain, messages: step.hastened }, 'a domain takes mail again: some of what waits for it is due now')
      wake()
    }
  }

  function look(): Promise<void> {
    looking ??= lookOnce()
      .catch((error) => log.debug({ err: error }, 'domains in trouble could not be looked at'))
      .finally(() => {
        looking = null
      })
    return looking
  }

  return {
    saw(domain, outcome) {
      if (isRefusedForNow(outcome)) seen.set(domain, { domain, refusedAt: clock.now(), acceptedAt: null })
      else if (outcome.kind === 'accepted') {
        const own = seen.get(domain)
        if (own ? own.acceptedAt !== null : troubled.get(domain)?.acceptedAt !== null) return
        seen.set(domain, { domain, refusedAt: own?.refusedAt ?? null, acceptedAt: clock.now() })
      }
    },
    look,
    start() {
      timer = setInterval(() => void look(), LOOK)
      timer.unref()
    },
    async stop() {
      if (timer) clearInterval(timer)
      await looking
      // What was seen last would be missed after a restart.
      if (seen.size > 0) await look()
    },
  }
}

/** A full mailbox says nothing about its neighbours. */
function isRefusedForNow(outcome: TransmitOutcome): boolean {
  return outcome.kind === 'refused' && outcome.reply.code < 500 && waitClassOf(outcome.reply) !== 'full'
}
