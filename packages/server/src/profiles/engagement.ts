import type { Deliverability } from '../consent/decide.ts'
import type { ProfileState } from './change.ts'

export type Engagement = 'engaged' | 'active' | 'passive' | 'new' | 'disengaged' | 'dormant' | 'hardbounce' | 'optout'

const DAY = 86_400_000
const ENGAGED_DAYS = 7
const ACTIVE_DAYS = 7
const PASSIVE_DAYS = 7
const NEW_DAYS = 7
const DORMANT_DAYS = 120

/** When somebody last opened a message and followed a link. */
export interface SeenLast {
  openedAt: Date | null
  clickedAt: Date | null
}

/**
 * How close a person is, in one word. What stops mail comes first; then the strongest sign of life of the last days: a
 * visit (a login), a click, an open. `blast` alone does not make an `optout`: such a person still gets triggered mail.
 */
export function engagementOf(
  profile: Pick<ProfileState, 'level' | 'createdAt' | 'loginAt'>,
  deliverability: Deliverability,
  now: Date,
  { openedAt, clickedAt }: SeenLast = { openedAt: null, clickedAt: null },
): Engagement {
  if (deliverability === 'hardbounce' || deliverability === 'invalid') return 'hardbounce'
  if (profile.level === 'basic' || profile.level === 'all') return 'optout'
  const { createdAt, loginAt } = profile
  const within = (at: Date | null, days: number) => at !== null && now.getTime() - at.getTime() <= days * DAY
  if (within(loginAt, ENGAGED_DAYS)) return 'engaged'
  if (within(clickedAt, ACTIVE_DAYS)) return 'active'
  if (within(openedAt, PASSIVE_DAYS)) return 'passive'
  if (within(createdAt, NEW_DAYS)) return 'new'
  const signs = [createdAt, loginAt, clickedAt, openedAt]
  return signs.some((at) => within(at, DORMANT_DAYS)) ? 'disengaged' : 'dormant'
}

/** The number that `user_engagement()` of templates gives for the word. */
export const ENGAGEMENT_LEVELS: Readonly<Record<Engagement, number>> = {
  hardbounce: 0,
  optout: 0,
  dormant: 1,
  disengaged: 2,
  new: 3,
  passive: 4,
  active: 5,
  engaged: 6,
}
