import type { Json, JsonObject } from '../platform/json.ts'

declare module '../platform/database.ts' {
  interface Schema {
    profile: ProfileTable
    profile_key: { shard: number; kind: string; value: string; profile_id: number }
    remembered_person: RememberedTable
    list_member: { shard: number; profile_id: number; list_id: number; joined_at: Date }
    list_left: { shard: number; profile_id: number; list_id: number; left_at: Date; via: string }
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

interface RememberedTable {
  shard: number
  address_hmac: Buffer
  level: number
  template_optouts: Json
  deliverability: string | null
  complained_at: Date | null
  refused_at: Date | null
  at: Date
}
