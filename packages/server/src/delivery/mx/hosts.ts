import { Resolver } from 'node:dns/promises'
import { isIPv6 } from 'node:net'
import { asciiDomain } from '../mime/domain.ts'
import { isLoopback } from '../smtp/encryption.ts'
import type { Refusal } from '../smtp/outcome.ts'

/** What is asked of the DNS; rejects with the `code` of node:dns. */
export interface MxResolver {
  resolveMx(name: string): Promise<MxRecord[]>
  resolve4(name: string): Promise<string[]>
  resolve6(name: string): Promise<string[]>
}

export interface MxRecord {
  exchange: string
  priority: number
}

/** A server that takes a domain's mail, at one of its addresses. */
export interface MxHost {
  name: string
  address: string
}

/** The servers of a domain, in the order in which to try them. */
export type HostsOutcome =
  | { ok: true; hosts: MxHost[] }
  /** The domain takes no mail. */
  | { ok: false; refusal: Refusal }
  /** Nobody could say; another time perhaps. */
  | { ok: false; problem: string }

export interface MxWorld {
  resolver: MxResolver
  /** 25; tests have servers on another. */
  port: number
  /** Whether an address may be connected to. */
  isAllowed(address: string): boolean
  /** From 0 up to 1. */
  random(): number
}

/** The Internet. */
export function internet(): MxWorld {
  return {
    resolver: new Resolver({ timeout: 5_000, tries: 2 }),
    port: 25,
    // Domains of others must not lead to what listens on this machine.
    isAllowed: (address) => !isLoopback(address) && !/^(0\.|::$|::ffff:0\.)/.test(address),
    random: Math.random,
  }
}

/** Two are the least that should be tried (RFC 5321 §5.1); a message does not wait for twenty that are down. */
const MOST_HOSTS = 6

/** Codes that mean: the name does not exist, or cannot. */
const NO_NAME: readonly unknown[] = ['ENOTFOUND', 'EBADNAME']
/** The name exists and has no such record. */
const NO_RECORD = 'ENODATA'

/** Finds the servers that take a domain's mail (RFC 5321 §5.1). */
export async function findHosts(domain: string, world: MxWorld): Promise<HostsOutcome> {
  const name = asciiDomain(domain).toLowerCase()
  if (!/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name)) return never(501, '5.1.3', `"${domain}" is not a domain`)
  let records: MxRecord[]
  try {
    records = await world.resolver.resolveMx(name)
  } catch (error) {
    const code = codeOf(error)
    if (NO_NAME.includes(code)) return never(550, '5.1.2', `there is no domain ${name}`)
    if (code !== NO_RECORD)
      return { ok: false, problem: `the DNS does not say now who takes mail of ${name} (${code})` }
    records = []
  }
  // RFC 7505 §3: the root as the only host says that the domain takes no mail.
  const named = records.filter(({ exchange }) => exchange !== '' && exchange !== '.')
  if (records.length > 0 && named.length === 0) return never(556, '5.1.10', `${name} takes no mail (null MX)`)
  // Without MX records the domain itself is the host (RFC 5321 §5.1); with them it is not, even if none of them is good.
  const names = named.length > 0 ? inOrder(named, world.random).map(({ exchange }) => exchange) : [name]
  return addressesOf(name, names, world)
}

/** By preference; those with the same one in any order, to share the load among them (RFC 5321 §5.1). */
export function inOrder(records: readonly MxRecord[], random: () => number): MxRecord[] {
  return records
    .map((record) => ({ record, lot: random() }))
    .sort((a, b) => a.record.priority - b.record.priority || a.lot - b.lot)
    .map(({ record }) => record)
}

async function addressesOf(domain: string, names: readonly string[], world: MxWorld): Promise<HostsOutcome> {
  const hosts: MxHost[] = []
  let unclear: string | null = null
  let isForbidden = false
  for (const name of names) {
    if (hosts.length >= MOST_HOSTS) break
    // IPv4 first: the IPv6 addresses of small senders seldom have a name, and large receivers insist on one.
    for (const answer of await Promise.allSettled([world.resolver.resolve4(name), world.resolver.resolve6(name)])) {
      if (answer.status === 'rejected') {
        const code = codeOf(answer.reason)
        if (!NO_NAME.includes(code) && code !== NO_RECORD) unclear = `${name} (${code})`
        continue
      }
      for (const address of answer.value) {
        if (world.isAllowed(address)) hosts.push({ name, address })
        else isForbidden = true
      }
    }
  }
  if (hosts.length > 0) return { ok: true, hosts: hosts.slice(0, MOST_HOSTS) }
  if (unclear !== null) return { ok: false, problem: `the DNS does not say now where ${unclear} is` }
  return never(
    550,
    '5.4.4',
    isForbidden ? `${domain} names this machine as its own` : `no server of ${domain} has an address`,
  )
}

/** A refusal as a server would say it, so that it is classified like one (RFC 3463, RFC 7505 §4). */
function never(code: number, enhanced: string, text: string): HostsOutcome {
  return { ok: false, refusal: { phase: 'rcpt', code, enhanced, text: `${code} ${enhanced} ${text}` } }
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error)

/** `mx1.example.com [192.0.2.1]`, as it stands in Received fields. */
export function nameOfHost({ name, address }: MxHost): string {
  return `${name} [${isIPv6(address) ? `IPv6:${address}` : address}]`
}
