import { createHash, timingSafeEqual } from 'node:crypto'
import type { ProfileState } from './change.ts'

type Named = Pick<ProfileState, 'id' | 'salt'>

const SID = /^[0-9a-f]{24}$/
const COOKIE = /^[0-9a-f]{88}$/

/** The handed-out id: 24 hexadecimal digits that carry the internal id and 32 random bits. */
export function sidOf({ id, salt }: Named): string {
  return id.toString(16).padStart(16, '0') + salt.subarray(0, 4).toString('hex')
}

/** The value of the site cookie: 88 hexadecimal digits, beginning with the sid. */
export function cookieOf(profile: Named): string {
  const sid = sidOf(profile)
  return sid + createHash('sha256').update(sid).update(profile.salt).digest('hex')
}

/** The internal id inside a sid or cookie; null when it has not the shape. Check with `carries` once it is loaded. */
export function idInside(kind: 'sid' | 'cookie', value: string): number | null {
  if (!(kind === 'sid' ? SID : COOKIE).test(value)) return null
  const id = Number.parseInt(value.slice(0, 16), 16)
  return Number.isSafeInteger(id) ? id : null
}

/** True when the sid or cookie is really this profile's. */
export function carries(profile: Named, kind: 'sid' | 'cookie', value: string): boolean {
  const own = kind === 'sid' ? sidOf(profile) : cookieOf(profile)
  return own.length === value.length && timingSafeEqual(Buffer.from(own), Buffer.from(value))
}

/** All keys of a profile as the API shows them. */
export function describeKeys(profile: Named & Pick<ProfileState, 'email' | 'keys'>): Record<string, string> {
  return {
    sid: sidOf(profile),
    cookie: cookieOf(profile),
    ...(profile.email === null ? {} : { email: profile.email }),
    ...profile.keys,
  }
}
