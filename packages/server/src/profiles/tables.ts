import type { JsonObject } from '../platform/json.ts'
import type { Wishes } from './change.ts'

declare module '../platform/database.ts' {
  interface Schema {
    profile: ProfileTable
    profile_key: { shard: number; kind: string; value: string; profile_id: number }
    remembered_address: {
      shard: number
      address_hmac: Buffer
      deliverability: string | null
      wishes: JsonObject
      at: Date
    }
    /** Whom an address belongs to that was remembered once and came back. */
    returned_address: { shard: number; address_hmac: Buffer; profile_id: number }
    profile_moved: { shard: number; id: number; profile_id: number; salt: Buffer; at: Date }
    list_member: { shard: number; profile_id: number; list_id: number; joined_at: Date }
    list_left: { shard: number; profile_id: number; list_name: string; left_at: Date; via: string; number: number }
  }
}

export interface ProfileTable {
  shard: number
  id: number
  email: string | null
  keys: JsonObject
  level: number
  level_at: Date | null
  level_via: string | null
  /** Number of the newest refusal of any kind. */
  decided: number
  refusals: Wishes['refusals']
  refused_at: Date | null
  complained_at: Date | null
  vars: JsonObject
  sms: JsonObject
  pixel_consent: string | null
  created_at: Date
  signup_at: Date | null
  login_at: Date | null
  optout_at: Date | null
  ledger_head: Buffer | null
  salt: Buffer
}
