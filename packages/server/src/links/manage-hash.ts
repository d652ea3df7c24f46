import { createHmac, hash, timingSafeEqual } from 'node:crypto'

/**
 * Links to a manage page outside a message are made by the customer's own programs, so they are signed with an API
 * secret, in one of two forms: the one of old, `md5(email + secret)`, which never ends, and
 * `v2.{expires}.{hmac-sha256(secret, "manage|2|page|email|expires"), hex}`.
 */

/** The old form (Sailthru API docs, "User Management Page"). */
export const legacyManageHash = (email: string, secret: string): string => hash('md5', email + secret, 'hex')

/** The form that ends. `expires` in UNIX seconds. */
export function manageHash(page: string, email: string, expires: number, secret: string): string {
  const mac = createHmac('sha256', secret).update(`manage|2|${page}|${email}|${expires}`).digest('hex')
  return `v2.${expires}.${mac}`
}

/**
 * Checks a hash against every secret of the account; every secret is tried, so that the time tells nothing.
 *
 * @param options.legacy whether the old form is accepted
 */
export function checkManageHash(
  link: { page: string; email: string; hash: string },
  secrets: readonly string[],
  options: { now: Date; legacy: boolean },
): 'good' | 'bad' | 'expired' {
  const { page, email, hash: given } = link
  const second = /^v2\.(\d{1,11})\.[0-9a-f]{64}$/.exec(given)
  if (second) {
    const expires = Number(second[1])
    const genuine = some(secrets, (secret) => equal(manageHash(page, email, expires, secret), given))
    if (!genuine) return 'bad'
    return expires * 1000 > options.now.getTime() ? 'good' : 'expired'
  }
  if (!options.legacy) return 'bad'
  const lower = email.toLowerCase()
  const genuine = some(secrets, (secret) => {
    const asSent = equal(legacyManageHash(email, secret), given.toLowerCase())
    const lowered = equal(legacyManageHash(lower, secret), given.toLowerCase())
    return asSent || lowered
  })
  return genuine ? 'good' : 'bad'
}

function some(secrets: readonly string[], check: (secret: string) => boolean): boolean {
  let found = false
  for (const secret of secrets) found = check(secret) || found
  return found
}

function equal(expected: string, given: string): boolean {
  const theirs = Buffer.from(given)
  return theirs.length === expected.length && timingSafeEqual(Buffer.from(expected), theirs)
}
