import type { LinkActs } from '../links/link-parameters.ts'

/** That a message was opened, or a link of it followed. */
export interface MessageEventTable {
  shard: number
  id: number
  message_id: number
  campaign_id: number | null
  profile_id: number
  type: 'open' | 'click'
  /** Where a click led to. */
  url: string | null
  /** Number of the link in the HTML part; null: a link of the text part. */
  link: number | null
  /** By a program rather than a person, as far as it shows. Final once `settled`. */
  machine: boolean
  /** Counted, or known not to count. */
  settled: boolean
  at: Date
}

/** Of each person the newest signs of life, and how many there were. Machines do not count. */
export interface ProfileActivityTable {
  shard: number
  profile_id: number
  opened_at: Date | null
  clicked_at: Date | null
  opens: number
  clicks: number
}

/** What a click asked for by its link's parameters, until it is certain that a person clicked. The id is the event's. */
export interface LinkActTable {
  shard: number
  id: number
  message_id: number
  profile_id: number
  acts: LinkActs
  clicked_at: Date
  due_at: Date
}

declare module '../platform/database.ts' {
  interface Schema {
    message_event: MessageEventTable
    profile_activity: ProfileActivityTable
    link_act: LinkActTable
  }
}
