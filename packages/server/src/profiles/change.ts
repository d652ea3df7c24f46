import type { Deliverability } from '../consent/decide.ts'
import type { Level } from '../consent/levels.ts'
import type { Json, JsonObject } from '../platform/json.ts'

/** The kinds of lookup key that a caller may set. `sid` and `cookie` are made by the server and carry the id. */
export const KEY_KINDS = ['email', 'extid', 'sms', 'fb', 'twitter'] as const
export type KeyKind = (typeof KEY_KINDS)[number]

/** How a person is named: by a lookup key, by the handed-out ids, or by the internal id. */
export type PersonRef = { kind: KeyKind | 'sid' | 'cookie'; value: string } | { kind: 'id'; value: number }

/** How a decision reached us. */
export type Via =
  | 'api'
  | 'hosted_page'
  | 'one_click'
  | 'mailto'
  | 'confirm_link'
  /** A tracked link that was followed. */
  | 'link'
  | 'flow'
  | 'import'
  | 'ui'
  | 'complaint'
  | 'bounce'
  | 'purchase'
  | 'system'

/** Where a list was joined or left, as flows distinguish it. */
export type ListSource =
  | 'hosted_page'
  | 'site_form'
  | 'confirm_link'
  | 'link_param'
  | 'user_api'
  | 'flow'
  | 'bulk'
  | 'ui'

/**
 * Strength of the proof behind a decision: 0 bare call, 1 operator with a reason, 2 signed page link and a press of a
 * button, 3 attested by the website, 4 proof of the mailbox (docs/consent.md).
 */
export type Evidence = 0 | 1 | 2 | 3 | 4

/** Who acts, how, and what proves it. Everything but `via` and `evidence` is for the record. */
export interface Act {
  via: Via
  evidence: Evidence
  /** API key, operator, `flow/12/v3/run 99/step back_in`, … */
  actor?: string
  listSource?: ListSource
  ip?: string
  userAgent?: string
  url?: string
  wordingId?: string
  messageId?: number
  tokenId?: string
  reason?: string
  /** When the caller's evidence says that the person decided; default: the time of the change. */
  decidedAt?: Date
  /** Chain of automations that led here: flows put theirs in, everybody else leaves it out. */
  cause?: Cause
}

/** Where a chain of automations began and which flows it went through. */
export interface Cause {
  root: string
  depth: number
  flows: number[]
  /** How the person got onto the list that began the chain: what a later flow may do rests on that. */
  origin?: ListSource
  /** When the chain began (ISO 8601): a refusal after this moment is newer than anything the chain may do. */
  at?: string
}

/**
 * One change to one person: the only value that alters a profile. All parts are optional and take effect together.
 */
export interface ProfileChange {
  person: PersonRef
  /** Create the profile when nobody is found. Default true. Never by `id`, `sid` or `cookie`. */
  create?: boolean
  act: Act
  /** Keys to add or replace. */
  keys?: Partial<Record<KeyKind, string>>
  /** What to do when a key belongs to somebody else. Default `error`. */
  keysConflict?: 'merge' | 'error'
  /** Shallow merge; null deletes. */
  vars?: { [name: string]: Json }
  /** List id → join (true) or leave (false). */
  lists?: ReadonlyMap<number, boolean>
  level?: LevelChange
  /** Template id → out (true) or back in (false). `name` is what the person saw. */
  templates?: ReadonlyMap<number, { out: boolean; name: string | null }>
  /** A spam report: the level becomes at least `basic` and the report is remembered. */
  complaint?: true
  /** What a delivery taught about the address it went to. */
  deliverability?: { address: string; state: Deliverability; class: string | null; detail: string | null }
  login?: { at: Date }
  sms?: { marketing?: string; transactional?: string }
  pixelConsent?: 'opt-in' | 'opt-out' | null
  /** Removes the profile; what must never be forgotten is kept under a keyed hash of the address. */
  erase?: true
  /** A token that has effect once: when it was used before, the change does nothing and answers `token_used`. */
  spend?: { id: string; purpose: string }
}

export interface LevelChange {
  to: Level
  /**
   * `set`: as the caller says. `tighten`: never weaker than now. `loosen`: never stricter than now.
   */
  mode: 'set' | 'tighten' | 'loosen'
  /**
   * A weakening is dropped as `superseded` when the person or an operator refused mail after this moment (an opt-in
   * token's minting, a form's rendering, a flow's trigger): the newest human decision wins.
   */
  unlessRefusedAfter?: Date
  /**
   * When a refusal was made that is recorded only now: the database was away. It is dropped as `superseded` when email
   * was switched on after that moment.
   */
  refusedAt?: Date
}

/** Ways by which a human being, not an automaton, refuses mail. */
export const HUMAN: ReadonlySet<Via> = new Set(['api', 'hosted_page', 'one_click', 'mailto', 'complaint', 'ui'])

/** What became of a level change. `needs_confirmation`: the proof does not suffice for why the person left. */
export type LevelOutcome = 'applied' | 'noop' | 'superseded' | 'needs_confirmation'

/** What became of a change. */
export type ChangeOutcome =
  | {
      ok: true
      profileId: number
      created: boolean
      level: Level
      /** Null when the change did not speak of the level. */
      levelOutcome: LevelOutcome | null
      /** Ids of lists really joined and really left. */
      joined: number[]
      left: number[]
    }
  | { ok: false; problem: 'not_found' | 'token_used' }
  | { ok: false; problem: 'key_conflict'; kind: KeyKind }
  | { ok: false; problem: 'invalid_email'; email: string }

/** A person as the database holds them. */
export interface ProfileState {
  shard: number
  id: number
  /** First spelling; null for a person without an address. */
  email: string | null
  /** Every other key. */
  keys: Partial<Record<KeyKind, string>>
  level: Level
  levelAt: Date | null
  levelVia: Via | null
  /** Newest refusal of mail by the person or an operator, even one that left the level as it was. */
  refusedAt: Date | null
  complainedAt: Date | null
  vars: JsonObject
  sms: { marketing?: string; transactional?: string }
  pixelConsent: string | null
  createdAt: Date
  signupAt: Date | null
  loginAt: Date | null
  optoutAt: Date | null
  /** List id → time joined. */
  lists: Map<number, Date>
  /** Template ids that the person left. */
  templateOptouts: Set<number>
  /** Head of this person's chain in the consent ledger. */
  ledgerHead: Buffer | null
  /** Eight random bytes that make the handed-out ids (`sid`, `cookie`) unguessable. */
  salt: Buffer
}
