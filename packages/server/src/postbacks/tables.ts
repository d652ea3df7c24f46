import type { JsonObject } from '../platform/json.ts'

/** `queued` until it was taken (`delivered`) or given up (`failed`). */
export type PostbackState = 'queued' | 'delivered' | 'failed'

declare module '../platform/database.ts' {
  interface Schema {
    postback: {
      shard: number
      id: number
      profile_id: number
      action: string
      url: string
      /** Parameters without `api_key` and `sig`, which are added when it is posted: keys change. */
      body: JsonObject
      state: PostbackState
      attempts: number
      due_at: Date
      lease_until: Date | null
      created_at: Date
      /** Status line or problem of the last attempt. */
      last_reply: string | null
      dedupe_key: string | null
    }
  }
}
