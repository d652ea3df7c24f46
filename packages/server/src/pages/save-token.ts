import { LEVELS, type Level } from '../consent/levels.ts'
import type { SigningKeys } from '../links/keys.ts'
import { newTokenId, openToken, seal } from '../links/tokens.ts'
import type { Json } from '../platform/json.ts'

/** `address_…`: what came of a new address that was asked for beside what was saved. */
export type SaveResult =
  | 'saved'
  | 'undone'
  | 'superseded'
  | 'confirm_sent'
  | 'confirm_unsent'
  | 'address_sent'
  | 'address_unsent'
  | 'address_invalid'

/** What a save did: shown on the page after it, and enough to take it back. */
export interface Saved {
  profileId: number
  result: SaveResult
  /** `decided` of the person with what this save refused: taking it back lifts nothing that was refused later. */
  decided: number
  /** Level before. */
  was: Level
  changedLevel: boolean
  /** Names. */
  joined: string[]
  left: string[]
  /** Template names: left (true) or taken up again (false). */
  templates: Array<[name: string, out: boolean]>
  /** Names of lists and templates that stay left, because they were left after the page had been shown. */
  stayed: string[]
  /** What the answer about text messages was before it became no; null: it was not changed. */
  smsWas: { was: string | null } | null
}

/** A save that changed nothing. */
export const NOTHING_SAVED = {
  result: 'saved',
  decided: 0,
  changedLevel: false,
  joined: [],
  left: [],
  templates: [],
  stayed: [],
  smsWas: null,
} as const satisfies Partial<Saved>

/** How long a save can be taken back, in ms. */
export const UNDO_WITHIN = 30 * 60_000

type Packed = [
  profileId: number,
  result: SaveResult,
  was: number,
  changedLevel: boolean,
  joined: string[],
  left: string[],
  templates: Array<[string, boolean]>,
  stayed: string[],
  smsWas: Saved['smsWas'],
  decided?: number,
]

export function sealSaved(keys: SigningKeys, saved: Saved, now: Date): string {
  const { profileId, result, decided, was, changedLevel, joined, left, templates, stayed, smsWas } = saved
  const content: Packed = [
    profileId,
    result,
    LEVELS.indexOf(was),
    changedLevel,
    joined,
    left,
    templates,
    stayed,
    smsWas,
    decided,
  ]
  const stamp = { issuedAt: now, expiresAt: new Date(now.getTime() + UNDO_WITHIN), id: newTokenId() }
  return seal(keys, 'undo', content as Json, stamp)
}

/**
 * Null for anything that is not such a token of one of these people, or too old.
 *
 * @param people the person of a page, and the one that its link names, of whom they may be the survivor
 */
export function openSaved(
  keys: SigningKeys,
  token: string | null,
  people: ReadonlyArray<number | null>,
  now: Date,
): (Saved & { id: string }) | null {
  const opened = token === null ? null : openToken(keys, 'undo', token, now)
  if (!opened?.ok) return null
  const [profileId, result, was, changedLevel, joined, left, templates, stayed, smsWas, decided = 0] =
    opened.content as Packed
  if (!people.includes(profileId)) return null
  const { id } = opened
  const level = LEVELS[was] ?? 'none'
  return { profileId, result, decided, was: level, changedLevel, joined, left, templates, stayed, smsWas, id }
}

/** Whether anything could be taken back. */
export const canUndo = (saved: Saved): boolean =>
  (saved.result === 'saved' || saved.result.startsWith('address_')) &&
  (saved.changedLevel || saved.smsWas !== null || saved.joined.length + saved.left.length + saved.templates.length > 0)
