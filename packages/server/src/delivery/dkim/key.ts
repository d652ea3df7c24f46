import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { domainToASCII } from 'node:url'

/** A key that signs for a domain, ready for use. */
export interface DkimKey {
  /** A-labels, lower case. */
  domain: string
  selector: string
  algorithm: 'rsa-sha256' | 'ed25519-sha256'
  privateKey: KeyObject
}

/** A key as it is kept: `privateKey` is PEM. */
export interface DkimKeyText {
  domain: string
  selector: string
  privateKey: string
}

export type DkimKeyOutcome = { ok: true; key: DkimKey } | { ok: false; problem: string }

/** One DNS label or several (RFC 6376 §3.1). */
const LABELS = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/

/**
 * Reads a private key once, for many signatures.
 *
 * @param given.privateKey PEM (PKCS #8 or PKCS #1): RSA of at least 1024 bits (RFC 8301 §3.2) or Ed25519 (RFC 8463)
 */
export function readDkimKey(given: DkimKeyText): DkimKeyOutcome {
  const domain = domainToASCII(given.domain)
  if (!LABELS.test(domain) || domain.length > 253) return refused(`${JSON.stringify(given.domain)} is not a domain`)
  const selector = given.selector.toLowerCase()
  if (!LABELS.test(selector) || selector.length > 190) {
    return refused(`${JSON.stringify(given.selector)} is not a DKIM selector: letters, digits, hyphens, dots`)
  }
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(given.privateKey)
  } catch {
    // What OpenSSL says about it might quote it.
    return refused(`the DKIM key of ${domain} is not a private key in PEM form without a passphrase`)
  }
  const kind = privateKey.asymmetricKeyType
  if (kind === 'ed25519') return { ok: true, key: { domain, selector, algorithm: 'ed25519-sha256', privateKey } }
  if (kind !== 'rsa') return refused(`the DKIM key of ${domain} is neither an RSA nor an Ed25519 key`)
  const bits = privateKey.asymmetricKeyDetails?.modulusLength ?? 0
  if (bits < 1024) return refused(`the DKIM key of ${domain} has ${bits} bits; receivers ignore less than 1024`)
  return { ok: true, key: { domain, selector, algorithm: 'rsa-sha256', privateKey } }
}

/** Keys that were found good before. @throws Error when one is not */
export function dkimKeysOf(texts: readonly DkimKeyText[]): DkimKey[] {
  return texts.map((text) => {
    const outcome = readDkimKey(text)
    if (!outcome.ok) throw new Error(outcome.problem)
    return outcome.key
  })
}

/** The TXT record that receivers look for (RFC 6376 §3.6.1, RFC 8463 §4). */
export function dkimRecord({ domain, selector, algorithm, privateKey }: DkimKey): { name: string; value: string } {
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  // Of an Ed25519 key only its 32 octets are published, which are the last ones.
  const isRsa = algorithm === 'rsa-sha256'
  const published = isRsa ? spki : spki.subarray(-32)
  return {
    name: `${selector}._domainkey.${domain}`,
    value: `v=DKIM1; k=${isRsa ? 'rsa' : 'ed25519'}; p=${published.toString('base64')}`,
  }
}

function refused(problem: string): DkimKeyOutcome {
  return { ok: false, problem }
}
