import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { domainToASCII } from 'node:url'
import { type DkimKeyText, readDkimKey } from './delivery/dkim/key.ts'
import { oneLine } from './platform/operator-error.ts'

/** What is wrong with a variable, in one line for whoever set it. */
export class Refusal extends Error {}

export interface Relay {
  host: string
  port: number
  /** True: TLS from the first byte; false: in the clear, then perhaps STARTTLS. */
  secure: boolean
  user: string | null
  password: string | null
  /** STARTTLS; unset: required where there is a password and the relay is another machine, else when it is offered. */
  tls?: 'required' | 'opportunistic' | 'off'
  /** Whether its certificate must be good; unset: yes, unless it is on this machine. */
  verify?: boolean
  /** How to sign in; unset: the strongest way that it offers. With XOAUTH2 the password is an access token. */
  auth?: (typeof RELAY_AUTH)[number]
  /** What we call ourselves to it (EHLO); unset: this machine's name. */
  name?: string
  /** Its share of the connections, beside those of other relays; unset: 1. */
  weight?: number
}

/** Mail goes to the servers of each recipient's domain (MX), without a relay. */
export interface Direct {
  /** What we call ourselves to them (EHLO); null: this machine's name. */
  name: string | null
  /** STARTTLS: in any case, where it is offered, or never. Certificates are not checked. */
  tls: (typeof RELAY_TLS)[number]
}

const RELAY_TLS = ['required', 'opportunistic', 'off'] as const
const RELAY_AUTH = ['PLAIN', 'LOGIN', 'CRAM-MD5', 'XOAUTH2'] as const

/** Reads `FAIRLEAD_SMTP_URL`: relays, with spaces between, or `mx:` by itself. */
export function readOutgoing(value: string | null): { relays: Relay[]; direct: Direct | null } {
  const entries = value?.split(/\s+/) ?? []
  const isDirect = (entry: string) => /^mx:/i.test(entry)
  if (!entries.some(isDirect)) return { relays: entries.map(readRelay), direct: null }
  if (entries.length > 1) throw new Refusal('FAIRLEAD_SMTP_URL: mx: stands alone, not beside relays')
  return { relays: [], direct: readDirect(entries[0]!) }
}

function readDirect(value: string): Direct {
  const url = URL.canParse(value) ? new URL(value) : null
  if (url?.host !== '' || url.pathname !== '' || url.hash !== '') {
    throw new Refusal('FAIRLEAD_SMTP_URL must be just mx:, as each domain names its own servers, or mx:?name=…&tls=…')
  }
  for (const option of url.searchParams.keys()) {
    if (option !== 'name' && option !== 'tls')
      throw new Refusal('FAIRLEAD_SMTP_URL: mx: knows the options name and tls')
  }
  const { name = null, tls = 'opportunistic' } = readRelayOptions(url.searchParams, false)
  return { name, tls }
}

/** Reads one of the URLs in `FAIRLEAD_SMTP_URL`. */
function readRelay(value: string): Relay {
  const url = URL.canParse(value) ? new URL(value) : null
  const plain = url && ['', '/'].includes(url.pathname) && !url.hash
  if (!url || !plain || !['smtp:', 'smtps:'].includes(url.protocol) || !url.hostname || url.port === '0') {
    // The value is not shown: it may hold a password.
    throw new Refusal(
      'FAIRLEAD_SMTP_URL must look like smtp://user:password@host:587 or smtps://user:password@host:465, or be mx:',
    )
  }
  const secure = url.protocol === 'smtps:'
  try {
    return {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port ? Number(url.port) : secure ? 465 : 587,
      secure,
      user: url.username ? decodeURIComponent(url.username) : null,
      password: url.password ? decodeURIComponent(url.password) : null,
      ...readRelayOptions(url.searchParams, secure),
    }
  } catch (error) {
    if (error instanceof Refusal) throw error
    throw new Refusal('FAIRLEAD_SMTP_URL: a "%" in the user name or the password must be written as %25')
  }
}

/** What stands behind the "?". Problems show neither names nor values: a "?" in a password would put it there. */
function readRelayOptions(options: URLSearchParams, secure: boolean): Partial<Relay> {
  const relay: Partial<Relay> = {}
  const oneOf = <T extends string>(name: string, value: string, choices: readonly T[]): T => {
    const choice = choices.find((one) => one.toLowerCase() === value.toLowerCase())
    if (choice) return choice
    throw new Refusal(`FAIRLEAD_SMTP_URL: ${name} must be one of ${choices.join(', ').toLowerCase()}`)
  }
  for (const [name, value] of options) {
    if (name === 'weight') relay.weight = readWeight(value)
    else if (name === 'tls') relay.tls = oneOf(name, value, RELAY_TLS)
    else if (name === 'verify') relay.verify = oneOf(name, value, ['on', 'off']) === 'on'
    else if (name === 'auth') relay.auth = oneOf(name, value, RELAY_AUTH)
    else if (name === 'name' && /^(\[[0-9a-f:.]+\]|\[ipv6:[0-9a-f:.]+\]|[a-z0-9.-]+)$/i.test(value)) relay.name = value
    else if (name === 'name') throw new Refusal('FAIRLEAD_SMTP_URL: name must be a host name')
    else {
      throw new Refusal(
        'FAIRLEAD_SMTP_URL knows the options tls, verify, auth, name and weight; a "?" in a password must be written as %3F',
      )
    }
  }
  if (secure && relay.tls !== undefined && relay.tls !== 'required') {
    throw new Refusal('FAIRLEAD_SMTP_URL: smtps:// is TLS from the first byte; tls is for smtp://')
  }
  return relay
}

function readWeight(value: string): number {
  const weight = Number(value)
  if (/^\d+$/.test(value) && weight >= 1 && weight <= 1_000) return weight
  throw new Refusal('FAIRLEAD_SMTP_URL: weight must be a whole number from 1 to 1000')
}

export function readConnections(value: string | null): number {
  const connections = Number(value ?? 20)
  if (Number.isInteger(connections) && connections >= 1 && connections <= 500) return connections
  throw new Refusal(`FAIRLEAD_SMTP_CONNECTIONS must be a number from 1 to 500, not "${value}"`)
}

/**
 * Reads an entry of `FAIRLEAD_DKIM`: `selector@example.com=keys/example.pem`. The key stays text, as a key that is ready
 * for use cannot be told to another process.
 *
 * @param folder what a relative path is relative to
 */
export function readKey(entry: string, folder: string): DkimKeyText {
  const [, selector, domain, file] = /^([^@=]+)@([^=]+)=(.+)$/.exec(entry) ?? []
  if (!selector || !domain || !file) {
    throw new Refusal(`FAIRLEAD_DKIM must look like selector@example.com=keys/example.pem, not "${entry}"`)
  }
  let privateKey: string
  try {
    privateKey = readFileSync(resolve(folder, file), 'utf8')
  } catch (error) {
    throw new Refusal(`FAIRLEAD_DKIM: ${oneLine(error)}`)
  }
  const key = { domain, selector, privateKey }
  const outcome = readDkimKey(key)
  if (!outcome.ok) throw new Refusal(`FAIRLEAD_DKIM: ${outcome.problem}`)
  return key
}

/** Return paths are `b-` and 28 characters at this domain. */
export function readBounceDomain(value: string | null): string | null {
  if (value === null) return null
  const domain = domainToASCII(value)
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(domain)) return domain
  throw new Refusal(`FAIRLEAD_BOUNCE_DOMAIN must be a domain that brings mail to you, not "${value}"`)
}
