import type { Deliverability } from '../consent/decide.ts'
import type { ProfileState } from './change.ts'

export type Engagement = 'engaged' | 'new' | 'disengaged' | 'dormant' | 'hardbounce' | 'optout'

const DAY = 86_400_000
const ENGAGED_DAYS = 7
const NEW_DAYS = 7
const DORMANT_DAYS = 120

/**
 * How close a person is, in one word. What stops mail comes first; then the newest sign of life, of which the account
 * records visits (logins) so far. `blast` alone does not make an `optout`: such a person still gets triggered mail.
 */
export function engagementOf(
  profile: Pick<ProfileState, 'level' | 'createdAt' | 'loginAt'>,
  deliverability: Deliverability,
  now: Date,
): Engagement {
  if (deliverability === 'hardbounce' || deliverability === 'invalid') return 'hardbounce'
  if (profile.level === 'basic' || profile.level === 'all') return 'optout'
  const days = (since: Date) => (now.getTime() - since.getTime()) / DAY
  if (profile.loginAt && days(profile.loginAt) <= ENGAGED_DAYS) return 'engaged'
  if (days(profile.createdAt) <= NEW_DAYS) return 'new'
  return days(profile.loginAt ?? profile.createdAt) <= DORMANT_DAYS ? 'disengaged' : 'dormant'
}

/** The number that `user_engagement()` of templates gives for the word; what is between `new` and `engaged` is not told apart. */
export const ENGAGEMENT_LEVELS: Readonly<Record<Engagement, number>> = {
  hardbounce: 0,
  optout: 0,
  dormant: 1,
  disengaged: 2,
  new: 3,
  engaged: 6,
}
