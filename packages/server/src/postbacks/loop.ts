import { sql } from 'kysely'
import { type KeyPair, listKeys } from '../account/keys.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import type { Log } from '../platform/log.ts'
import { createWorkLoop } from '../platform/work-loop.ts'
import { type PostOutcome, post, signedForm, signedHeaders } from './post.ts'
import './tables.ts'
import { createTargetPolicy } from './target.ts'

export interface PostbackParts {
  db: Database
  clock: Clock
  log: Log
  publicUrl: string
}

/** Posts what is due, at least once each, in order for each person. */
export interface PostbackLoop {
  name: string
  start(): void
  stop(): Promise<void>
  /** Posts one batch of what is due now; answers how many were tried. */
  deliverOnce(): Promise<number>
}

const MINUTE = 60_000
/** Waits after each failure, in ms; after the last one it is given up. */
const RETRIES = [1, 5, 30, 120, 360, 1440].map((minutes) => minutes * MINUTE)
/** Longer than an attempt can take: then whoever held it is dead. */
const LEASE = 30_000
const AT_ONCE = 20
const POLL = 1_000
const UNSIGNED: PostOutcome = { ok: false, reply: 'the account has no API key to sign with' }

interface Claimed {
  shard: number
  id: number
  profile_id: number
  action: string
  url: string
  body: JsonObject
  attempts: number
}

export function createPostbackLoop({ db, clock, log, publicUrl }: PostbackParts): PostbackLoop {
  const policy = createTargetPolicy(publicUrl)
  /** The oldest unfinished postback of each person, so that "out" and "back in" arrive in that order. */
  async function claim(): Promise<Claimed[]> {
    const now = clock.now()
    const { rows } = await sql<Claimed>`
      update postback set attempts = attempts + 1, lease_until = ${new Date(now.getTime() + LEASE)}
      where (shard, id) in (
        select shard, id from postback p
        where state = 'queued' and due_at <= ${now} and (lease_until is null or lease_until <= ${now})
          and not exists (select from postback e
            where e.state = 'queued' and e.shard = p.shard and e.profile_id = p.profile_id and e.id < p.id)
        order by due_at limit ${sql.lit(AT_ONCE)} for update skip locked)
      returning shard, id, profile_id, action, url, body, attempts`.execute(db)
    return rows
  }

  async function settle(postback: Claimed, outcome: PostOutcome): Promise<void> {
    const wait = RETRIES[postback.attempts - 1]
    const state = outcome.ok ? 'delivered' : wait === undefined ? 'failed' : 'queued'
    const due = new Date(clock.now().getTime() + (wait ?? 0))
    await sql`update postback set state = ${state}, due_at = ${due}, lease_until = null, last_reply = ${outcome.reply}
      where shard = ${postback.shard} and id = ${postback.id} and attempts = ${postback.attempts}`.execute(db)
    const facts = { action: postback.action, postback: postback.id, attempt: postback.attempts, reply: outcome.reply }
    if (state === 'failed') log.error(facts, 'a postback was given up')
    else if (!outcome.ok) log.warn(facts, 'a postback was not taken; it will be tried again')
  }

  async function deliverOnce(): Promise<number> {
    const claimed = await claim()
    if (claimed.length === 0) return 0
    const pair: KeyPair | undefined = (await listKeys(db))[0]
    await Promise.all(
      claimed.map(async (postback) => {
        await settle(postback, pair ? await attempt(postback, pair) : UNSIGNED)
      }),
    )
    return claimed.length
  }

  function attempt({ id, url, body }: Claimed, pair: KeyPair): Promise<PostOutcome> {
    const form = signedForm(body, pair)
    return post(url, form, policy, signedHeaders(String(id), form, pair, clock.now()))
  }

  const loop = createWorkLoop({
    turn: async () => (await deliverOnce()) > 0,
    poll: () => POLL,
    failed: (error) => log.warn({ err: error }, 'postbacks wait for the database'),
  })

  return {
    name: 'postbacks',
    deliverOnce,
    start: loop.start,
    async stop() {
      // What a slow receiver still holds up is tried again when its lease runs out.
      await Promise.race([loop.stop(), new Promise((resolve) => setTimeout(resolve, 5_000).unref())])
    },
  }
}
