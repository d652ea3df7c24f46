import type { MessageKind } from '../consent/decide.ts'
import type { JsonObject } from '../platform/json.ts'

/**
 * Where a message is on its way. `queued` waits until it is due; `leased` is held by a worker, which writes elsewhere,
 * before the first byte of its content goes out, that it is being attempted (delivery/batches.ts); `deferred` will be
 * tried again. The others are ends: `sent`; `failed` by us or refused for good; `suppressed` because the person may not
 * be written to; `cancelled` by its template or by the caller; `in_doubt`, for campaigns only, because a process or a
 * connection died during the attempt: nobody waits for it so badly that it should come twice.
 */
export type MessageState =
  | 'queued'
  | 'leased'
  | 'deferred'
  | 'sent'
  | 'failed'
  | 'suppressed'
  | 'cancelled'
  | 'in_doubt'

/** What made the message. */
export type MessageOrigin = 'api' | 'purchase' | 'flow' | 'page' | 'campaign'

/** What the caller of a send may ask for besides the content. */
export interface SendOptions {
  replyto?: string
  /** Marks the subject; not counted in statistics. */
  test?: boolean
  /** Goes into the Sender header. */
  behalf_email?: string
  /** `Cc`, `Bcc`, `X-*` and `List-Unsubscribe*`. */
  headers?: { [name: string]: string }
  /** A feed for this message alone: kept and shown, and not fetched yet. */
  data_feed_url?: string
}

export interface MessageTable {
  shard: number
  id: number
  profile_id: number
  /** Null for campaigns, whose content is no template's. */
  template_id: number | null
  campaign_id: number | null
  /** Null: the template's current revision at the time of sending. */
  revision_id: number | null
  kind: MessageKind
  origin: MessageOrigin
  /** As the caller spelled it; empty once its person was erased. */
  address: string
  /** Keyed hash of the address of somebody who was erased: old links refuse mail for it. */
  address_hmac: Buffer | null
  vars: JsonObject
  options: SendOptions
  /** What caused it: a purchase, a flow's run. */
  context: JsonObject
  priority: number
  state: MessageState
  scheduled_for: Date | null
  /**
   * When it may go out, for those that wait; in doubt: never (infinity); null for all others. The indexes of the queue
   * hold what has one. No other column that changes on the way is in any index, so most changes touch none.
   */
  due_at: Date | null
  /** Who holds it. */
  worker_id: number | null
  attempts: number
  /** When it was made due before its time because its domain took mail again: at most once. Null: never. */
  hastened_at: Date | null
  /** Attempts after which a mail server may have had it without saying so. */
  doubts: number
  created_at: Date
  settled_at: Date | null
  sent_at: Date | null
  /** Why it ended as it did: a refusal, `softbounce`, `hardbounce`, `render`, a template's own words. */
  reason: string | null
  /** The last answer of a mail server, or what went wrong. */
  reply: string | null
  limit_name: string | null
  dedupe_key: string | null
}

declare module '../platform/database.ts' {
  interface Schema {
    message: MessageTable
  }
}
