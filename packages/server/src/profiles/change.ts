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
  /** When the chain began (ISO 8601). */
  at?: string
  /** `decided` of the person before the chain began: it lifts no refusal with a higher number. Missing: unknown. */
  asOf?: number
}

/**
 * One change to one person: the only value that alters a profile. All parts are optional and take effect together.
 */
export interface ProfileChange {
  person: PersonRef
  /** Create the profile when nobody is found. Default true. Never by `id`, `sid` or `cookie`. */
  create?: boolean
  act: Act
  /**
   * What was known when the person decided: `decided` of the profile as it was read for the link, form or signal that
   * led here; 0 when that is unknown. Nothing that was refused under a higher number is permitted again by this change.
   * Left out: the decision is made by this very call.
   */
  asOf?: number
  /** Keys to add or replace. */
  keys?: Partial<Record<KeyKind, string>>
  /** What to do when a key belongs to somebody else. Default `error`. */
  keysConflict?: 'merge' | 'error'
  /** Shallow merge; null deletes. */
  vars?: { [name: string]: Json }
  /** List id → join (true) or leave (false). */
  lists?: ReadonlyMap<number, boolean>
  level?: LevelChange
  /** Template id → out (true) or back in (false), with its public name, under which others of the same name go too. */
  templates?: ReadonlyMap<number, { out: boolean; name: string }>
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
}

/** Ways by which something happens by itself. What comes by any other way is somebody's refusal, if it refuses. */
const AUTOMATIC: ReadonlySet<Via> = new Set(['flow', 'bounce', 'purchase', 'system'])

/** Whether a human being acts: the person, or somebody who answers for it. */
export const isHuman = ({ via }: Pick<Act, 'via'>): boolean => !AUTOMATIC.has(via)

/**
 * What became of a level change. `superseded`: the person, or somebody who answers for it, refused mail later.
 * `needs_confirmation`: the proof does not suffice for why the person left.
 */
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
      /** Level before the change, and everything refused by it: what taking it back leads to. */
      levelBefore: Level
      /** Number of the person's newest refusal, those of this change included. */
      decided: number
      /** Ids of lists really joined and really left. */
      joined: number[]
      left: number[]
      /** Ids of templates really left (true) or taken up again (false). */
      templates: Map<number, boolean>
      /** Ids of lists and templates that stay left: the refusal is newer, or not for this act to lift. */
      stayed: { lists: number[]; templates: number[] }
    }
  | { ok: false; problem: 'not_found' | 'token_used' }
  | { ok: false; problem: 'key_conflict'; kind: KeyKind }
  | { ok: false; problem: 'invalid_email'; email: string }

/** A refusal of one thing: when and how, and its number in the order of all decisions. */
export interface Refusal {
  at: Date
  via: Via
  /** Refusals by automata have 0: any human decision is newer. */
  number: number
}

/** Refusals that have no row of their own. */
export type RefusedSubject = 'level' | 'pixel' | 'sms:marketing' | 'sms:transactional'

/** What a person, or the owner of an address, wants and refuses. */
export interface Wishes {
  level: Level
  levelAt: Date | null
  levelVia: Via | null
  /** Newest refusal of mail by the person or an operator, even one that left the level as it was: for people to read. */
  refusedAt: Date | null
  complainedAt: Date | null
  /** Numbers of the newest refusals. What was never refused is missing. */
  refusals: { readonly [subject in RefusedSubject]?: number }
  /** Number of the newest refusal of any kind; 0: there was none. */
  decided: number
  /** Lists that the person left, by name: the name outlives the list. */
  listsLeft: ReadonlyMap<string, Refusal>
  /** Templates that the person left, by id, with the public name that stands for their successors. */
  templateOptouts: ReadonlyMap<number, Refusal & { name: string }>
  sms: { marketing?: string; transactional?: string }
  pixelConsent: string | null
}

/** A person as the database holds them. */
export interface ProfileState extends Wishes {
  shard: number
  id: number
  /** First spelling; null for a person without an address. */
  email: string | null
  /** Every other key. */
  keys: Partial<Record<KeyKind, string>>
  vars: JsonObject
  createdAt: Date
  signupAt: Date | null
  loginAt: Date | null
  optoutAt: Date | null
  /** List id → time joined. */
  lists: Map<number, Date>
  /** Head of this person's chain in the consent ledger. */
  ledgerHead: Buffer | null
  /** Eight random bytes that make the handed-out ids (`sid`, `cookie`) unguessable. */
  salt: Buffer
}
