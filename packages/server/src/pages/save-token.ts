import { LEVELS, type Level } from '../consent/levels.ts'
import type { SigningKeys } from '../links/keys.ts'
import { newTokenId, openToken, seal } from '../links/tokens.ts'
import type { Json } from '../platform/json.ts'

export type SaveResult = 'saved' | 'undone' | 'superseded' | 'confirm_sent' | 'confirm_unsent'

/** What a save did: shown on the page after it, and enough to take it back. */
export interface Saved {
  profileId: number
  result: SaveResult
  /** Level before. */
  was: Level
  changedLevel: boolean
  /** Names. */
  joined: string[]
  left: string[]
  /** Template names: left (true) or taken up again (false). */
  templates: Array<[name: string, out: boolean]>
}

/** How long a save can be taken back, in ms. */
export const UNDO_WITHIN = 30 * 60_000

export function sealSaved(keys: SigningKeys, saved: Saved, now: Date): string {
  const { profileId, result, was, changedLevel, joined, left, templates } = saved
  const content: Json = [profileId, result, LEVELS.indexOf(was), changedLevel, joined, left, templates]
  const stamp = { issuedAt: now, expiresAt: new Date(now.getTime() + UNDO_WITHIN), id: newTokenId() }
  return seal(keys, 'undo', content, stamp)
}

/** Null for anything that is not such a token of this person, or too old. */
export function openSaved(
  keys: SigningKeys,
  token: string | null,
  profileId: number | null,
  now: Date,
): (Saved & { id: string; issuedAt: Date }) | null {
  const opened = token === null ? null : openToken(keys, 'undo', token, now)
  if (!opened?.ok) return null
  const [owner, result, was, changedLevel, joined, left, templates] = opened.content as [
    number,
    SaveResult,
    number,
    boolean,
    string[],
    string[],
    Array<[string, boolean]>,
  ]
  if (owner !== profileId) return null
  const { id, issuedAt } = opened
  return { profileId: owner, result, was: LEVELS[was] ?? 'none', changedLevel, joined, left, templates, id, issuedAt }
}

/** Whether anything could be taken back. */
export const canUndo = (saved: Saved): boolean =>
  saved.result === 'saved' &&
  (saved.changedLevel || saved.joined.length + saved.left.length + saved.templates.length > 0)
