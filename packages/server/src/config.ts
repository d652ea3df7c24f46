import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import {
  type Direct,
  Refusal,
  type Relay,
  readBounceDomain,
  readConnections,
  readKey,
  readOutgoing,
} from './config-mail.ts'
import type { DkimKeyText } from './delivery/dkim/key.ts'
import { closest } from './platform/closest.ts'

export type { Direct, Relay } from './config-mail.ts'

/** Everything that the environment says, checked and with its defaults filled in. */
export interface Config {
  /** Absolute path, perhaps not yet existing. */
  dataDir: string
  host: string
  port: number
  consolePort: number
  /** Base of links and hosted pages, without a slash at the end. */
  publicUrl: string
  /** External PostgreSQL; null: the embedded one in the data folder. */
  databaseUrl: string | null
  /** The key pair that the start creates or keeps. */
  account: { key: string; secret: string } | null
  /** The operator that the start creates or keeps. */
  operator: { email: string; password: string } | null
  /** The relays for outgoing mail; none, and not `direct`: the built-in mail catcher. */
  relays: Relay[]
  /** Outgoing mail goes to the servers of each domain; null: it does not. */
  direct: Direct | null
  /** Worker processes that `fairlead start` runs. */
  workers: number
  /** Connections to all relays together, at most: shared among the workers of one start. */
  smtpConnections: number
  /** Keys to sign outgoing mail with. */
  dkim: DkimKeyText[]
  /** Domain of return paths that say which message a bounce is about; null: bounces go to the sender. */
  bounceDomain: string | null
  from: Sender
  /** Whose word on where a request came from is taken: addresses and networks, or the nearest so many. Null: nobody's. */
  trustProxy: string[] | number | null
  /** Every API call is answered within so many seconds. */
  answerWithin: number
}

export interface Sender {
  name: string
  address: string
}

export type ConfigOutcome = { ok: true; config: Config } | { ok: false; problem: string }

/** The variables, in the order in which help and problems name them. */
export const VARIABLES = [
  'FAIRLEAD_DATA_DIR',
  'FAIRLEAD_HOST',
  'FAIRLEAD_PORT',
  'FAIRLEAD_CONSOLE_PORT',
  'FAIRLEAD_PUBLIC_URL',
  'FAIRLEAD_DATABASE_URL',
  'FAIRLEAD_API_KEY',
  'FAIRLEAD_API_SECRET',
  'FAIRLEAD_ADMIN_EMAIL',
  'FAIRLEAD_ADMIN_PASSWORD',
  'FAIRLEAD_SMTP_URL',
  'FAIRLEAD_SMTP_CONNECTIONS',
  'FAIRLEAD_WORKERS',
  'FAIRLEAD_DKIM',
  'FAIRLEAD_BOUNCE_DOMAIN',
  'FAIRLEAD_FROM',
  'FAIRLEAD_TRUST_PROXY',
  'FAIRLEAD_ANSWER_WITHIN',
] as const

type Variable = (typeof VARIABLES)[number]
type Environment = Record<string, string | undefined>

/**
 * Reads the environment. An empty variable counts as unset, as container tools like to pass them. Problems name the
 * variable and never repeat a secret.
 *
 * @param folder what a relative data folder is relative to
 */
export function readConfig(env: Environment, folder = process.cwd()): ConfigOutcome {
  try {
    return { ok: true, config: read(env, folder) }
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, problem: error.message }
    throw error
  }
}

function read(env: Environment, folder: string): Config {
  const known: readonly string[] = VARIABLES
  for (const name of Object.keys(env)) {
    if (!name.startsWith('FAIRLEAD_') || known.includes(name)) continue
    const near = closest(name, known)
    throw new Refusal(`${name} is not a setting of Fairlead${near ? `; did you mean ${near}?` : ''}`)
  }
  const text = (name: Variable) => env[name]?.trim() || null

  const host = readHost(text('FAIRLEAD_HOST') ?? '127.0.0.1')
  const port = readPort('FAIRLEAD_PORT', text('FAIRLEAD_PORT') ?? '8080')
  const consolePort = readPort('FAIRLEAD_CONSOLE_PORT', text('FAIRLEAD_CONSOLE_PORT') ?? '8081')
  if (port === consolePort) {
    throw new Refusal(`FAIRLEAD_PORT and FAIRLEAD_CONSOLE_PORT are both ${port}: they must differ`)
  }
  const publicUrl = text('FAIRLEAD_PUBLIC_URL')
  const databaseUrl = text('FAIRLEAD_DATABASE_URL')
  return {
    dataDir: resolve(folder, env.FAIRLEAD_DATA_DIR || 'data'),
    host,
    port,
    consolePort,
    publicUrl: publicUrl ? readPublicUrl(publicUrl) : `http://${reachableName(host)}:${port}`,
    databaseUrl: databaseUrl ? readDatabaseUrl(databaseUrl) : null,
    account: readAccount(text('FAIRLEAD_API_KEY'), text('FAIRLEAD_API_SECRET')),
    operator: readOperator(text('FAIRLEAD_ADMIN_EMAIL'), env.FAIRLEAD_ADMIN_PASSWORD || null),
    ...readOutgoing(text('FAIRLEAD_SMTP_URL')),
    smtpConnections: readConnections(text('FAIRLEAD_SMTP_CONNECTIONS')),
    workers: readWorkers(text('FAIRLEAD_WORKERS')),
    dkim: (text('FAIRLEAD_DKIM')?.split(/\s+/) ?? []).map((entry) => readKey(entry, folder)),
    bounceDomain: readBounceDomain(text('FAIRLEAD_BOUNCE_DOMAIN')),
    from: readSender(text('FAIRLEAD_FROM') ?? 'Fairlead <hello@example.com>'),
    trustProxy: readProxies(text('FAIRLEAD_TRUST_PROXY')),
    answerWithin: readSeconds('FAIRLEAD_ANSWER_WITHIN', text('FAIRLEAD_ANSWER_WITHIN') ?? '15', 1, 300),
  }
}

function readHost(value: string): string {
  if (/^[A-Za-z0-9._:-]+$/.test(value)) return value
  throw new Refusal(`FAIRLEAD_HOST must be an address or a host name to listen on, not "${value}"`)
}

function readPort(name: Variable, value: string): number {
  const port = Number(value)
  if (/^\d+$/.test(value) && port >= 1 && port <= 65_535) return port
  throw new Refusal(`${name} must be a number from 1 to 65535, not "${value}"`)
}

function readSeconds(name: Variable, value: string, least: number, most: number): number {
  const seconds = Number(value)
  if (/^\d+$/.test(value) && seconds >= least && seconds <= most) return seconds
  throw new Refusal(`${name} must be a number of seconds from ${least} to ${most}, not "${value}"`)
}

/**
 * Unless somebody says otherwise, one processor is left to those who wait for an answer of the API while a campaign
 * runs; and no more than so many, as each takes some hundred megabytes.
 */
const USUAL_WORKERS = 4
const MOST_WORKERS = 64

function readWorkers(value: string | null): number {
  if (value === null) return Math.min(USUAL_WORKERS, Math.max(1, availableParallelism() - 1))
  const workers = Number(value)
  if (/^\d+$/.test(value) && workers >= 1 && workers <= MOST_WORKERS) return workers
  throw new Refusal(`FAIRLEAD_WORKERS must be a number from 1 to ${MOST_WORKERS}, not "${value}"`)
}

/** A listener on every address is reached from this machine by its own name. */
function reachableName(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

function readPublicUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : null
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.search || url.hash || url.username) {
    throw new Refusal(`FAIRLEAD_PUBLIC_URL must look like https://mail.example.com, not "${value}"`)
  }
  return url.href.replace(/\/+$/, '')
}

function readDatabaseUrl(value: string): string {
  // PostgreSQL allows an account without a host, for a Unix socket (`postgres://ada@/name?host=/run/postgresql`).
  const complete = value.replace('@/', '@localhost/')
  if (URL.canParse(complete) && ['postgres:', 'postgresql:'].includes(new URL(complete).protocol)) return value
  // The value is not shown: it may hold a password.
  throw new Refusal('FAIRLEAD_DATABASE_URL must look like postgres://user:password@host:5432/name')
}

function readAccount(key: string | null, secret: string | null): Config['account'] {
  if (key === null && secret === null) return null
  if (key === null || secret === null) {
    const [given, missing] = key === null ? ['SECRET', 'KEY'] : ['KEY', 'SECRET']
    throw new Refusal(`FAIRLEAD_API_${given} is set but FAIRLEAD_API_${missing} is not: set both or none`)
  }
  for (const [name, value] of [
    ['FAIRLEAD_API_KEY', key],
    ['FAIRLEAD_API_SECRET', secret],
  ]) {
    if (!/^[\x21-\x7e]{1,128}$/.test(value!))
      throw new Refusal(`${name} must be 1 to 128 visible ASCII characters without spaces`)
  }
  return { key, secret }
}

function readOperator(email: string | null, password: string | null): Config['operator'] {
  if (email === null && password === null) return null
  if (email === null)
    throw new Refusal('FAIRLEAD_ADMIN_PASSWORD is set but FAIRLEAD_ADMIN_EMAIL is not: set both or none')
  if (password === null)
    throw new Refusal('FAIRLEAD_ADMIN_EMAIL is set but FAIRLEAD_ADMIN_PASSWORD is not: set both or none')
  if (!isAddress(email)) throw new Refusal(`FAIRLEAD_ADMIN_EMAIL must be an email address, not "${email}"`)
  return { email, password }
}

function readSender(value: string): Sender {
  const parts = /^(?:"([^"]*)"|([^<>"]*))\s*<([^<>]+)>$/.exec(value)
  const name = (parts ? (parts[1] ?? parts[2]) : '')?.trim() ?? ''
  const address = (parts ? parts[3] : value)?.trim() ?? ''
  if (isAddress(address) && !/[\0-\x1f\x7f]/.test(value)) return { name, address }
  throw new Refusal(`FAIRLEAD_FROM must look like Name <hello@example.com>, not ${JSON.stringify(value)}`)
}

function readProxies(value: string | null): Config['trustProxy'] {
  if (value === null) return null
  if (/^[1-9]$/.test(value)) return Number(value)
  const proxies = value.split(',').map((one) => one.trim())
  if (proxies.every(isNetwork)) return proxies
  throw new Refusal(
    'FAIRLEAD_TRUST_PROXY must be addresses or networks like 10.0.0.5,10.1.0.0/16, or the number of proxies (1 to 9), ' +
      `not "${value}"`,
  )
}

function isNetwork(value: string): boolean {
  const [address = '', bits, ...rest] = value.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0 || address.includes('%')) return false
  // A network of everybody would let every visitor choose their own address.
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (family === 4 ? 32 : 128))
  )
}

function isAddress(value: string): boolean {
  return /^[^\s@<>",;:()[\]\\]+@[^\s@<>",;:()[\]\\]+$/.test(value)
}
