import { domainToASCII } from 'node:url'

/** An email address as its owner spells it, and as it is looked up. */
export interface Address {
  display: string
  /** Lower case, domain as A-labels, NFC: equal for every spelling of one mailbox. */
  lookup: string
}

const LOCAL = /^[^\s"(),:;<>@[\]\\\u0000-\u001f\u007f]{1,64}$/
const DOMAIN = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$/

/**
 * Reads an address, or returns null for text that is none. Quoted local parts and address literals are refused: no
 * mailbox of a person has one, and header and command injection live there (RFC 5321 §4.1.2 limits the lengths).
 */
export function parseAddress(text: string): Address | null {
  const display = text.trim().normalize('NFC')
  const at = display.lastIndexOf('@')
  if (at < 1 || display.length > 254) return null
  const local = display.slice(0, at)
  if (!LOCAL.test(local) || local.startsWith('.') || local.endsWith('.') || local.includes('..')) return null
  const written = display.slice(at + 1).toLowerCase()
  const domain = isAscii(written) ? written : domainToASCII(written)
  if (!DOMAIN.test(domain)) return null
  return { display, lookup: `${local.toLowerCase()}@${domain}` }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}

/** `ada@example.com` → `a••@example.com`: enough for its owner to know it, not for anybody else. */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf('@')
  return `${address.slice(0, 1)}••${address.slice(at)}`
}
