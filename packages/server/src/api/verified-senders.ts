import type { Config } from '../config.ts'
import { matchesAny, readPattern } from '../profiles/address-pattern.ts'
import type { Settings } from '../settings/settings.ts'

type Senders = { settings: Pick<Settings, 'verified_senders'>; from: Config['from'] }

/** The addresses and domains that may stand in From: the account's own sender, and those that the operator named. */
export function verifiedSenders({ settings, from }: Senders): string[] {
  const named = settings.verified_senders.split(',').flatMap((text) => readPattern(text) ?? [])
  return [...new Set([readPattern(from.address) ?? from.address, ...named])]
}

/** Whether a template may name this sender. While the operator named none, whoever holds an API key vouches. */
export function isVerifiedSender(address: string, senders: Senders): boolean {
  if (address === '' || senders.settings.verified_senders.trim() === '') return true
  return matchesAny(verifiedSenders(senders), address)
}
