import { parseAddress } from './address.ts'

/** An address in its lookup form, or a domain with its at sign: `@example.com`, for everybody there. */
export type AddressPattern = string

/** Reads `ada@example.com`, `example.com` or `@example.com`; null for anything else. */
export function readPattern(text: string): AddressPattern | null {
  const trimmed = text.trim()
  const domain = trimmed.startsWith('@') ? trimmed.slice(1) : trimmed
  const isDomain = !domain.includes('@')
  const address = parseAddress(isDomain ? `x@${domain}` : trimmed)
  if (!address) return null
  return isDomain ? address.lookup.slice(1) : address.lookup
}

/** Whether an address is one that the patterns name. Text that is no address never is. */
export function matchesAny(patterns: readonly AddressPattern[], text: string): boolean {
  const lookup = parseAddress(text)?.lookup
  if (lookup === undefined) return false
  return patterns.includes(lookup) || patterns.includes(lookup.slice(lookup.lastIndexOf('@')))
}
