import type { Relay } from '../config.ts'
import type { Envelope } from './smtp/commands.ts'
import type { Traits } from './smtp/content.ts'
import { isLoopback } from './smtp/encryption.ts'
import { type Offers, openSmtp, type SmtpOptions } from './smtp/open.ts'
import type { TransmitOutcome } from './smtp/outcome.ts'
import type { Timeouts } from './smtp/timeouts.ts'

export type { Traits } from './smtp/content.ts'
export type { Offers } from './smtp/open.ts'
export type { Broken, Refusal, TransmitOutcome } from './smtp/outcome.ts'

/** A message as it is handed over. */
export interface Transmittable {
  envelope: Envelope
  /** Everything after DATA: RFC 5322 with CRLF line ends, dots not yet doubled. */
  raw: Buffer
  /** Unset: it is looked for. */
  traits?: Traits
}

/** Where connections come from: a relay, or something that is used like one. */
export interface Source {
  /** As the log says it. */
  name: string
  /** Its share of the connections, beside others. */
  weight: number
  /** What an operator should know of it; null: nothing. */
  warning: string | null
  /** @throws Error when it is down, refuses, or does not know us */
  open(opening: Opening): Promise<Connection>
}

/** One connection to the relay, for one message at a time. */
export interface Connection {
  /** @param meanwhile called when the content is on its way, if it comes so far; perhaps more than once */
  transmit(message: Transmittable, meanwhile?: () => void): Promise<TransmitOutcome>
  /** False once it cannot carry another message. */
  isUsable(): boolean
  /** Says goodbye; cuts off what is under way. */
  close(): void
  /** What the relay said of itself. */
  offers: Offers
}

export interface Opening {
  /** Ends the connecting early. */
  signal?: AbortSignal
  /** Milliseconds. */
  timeouts?: Partial<Timeouts>
  /** Certificates to trust instead of the system's, in PEM. */
  ca?: string
}

/** A relay of our own greets soon; one that hangs should be found out sooner than a stranger on the net. In ms. */
export const GREETING = 60_000

export function relaySource(relay: Relay): Source {
  const { host, port, weight = 1, verify } = relay
  return {
    name: `${host}:${port}`,
    weight,
    warning: verify === false ? 'anybody can pose as this relay: verify=off' : null,
    open: (opening) => openConnection(relay, opening),
  }
}

/** Opens a connection and signs in. @throws Error when the relay is down, refuses, or does not know us */
export async function openConnection(relay: Relay, opening: Opening = {}): Promise<Connection> {
  const timeouts = { greeting: GREETING, ...opening.timeouts }
  const opened = await openSmtp({ ...optionsFor(relay), ...opening, timeouts })
  if (!opened.ok) throw new Error(opened.problem)
  const { offers, transmit, isUsable, close } = opened.session
  return {
    offers,
    isUsable,
    close,
    transmit: ({ envelope, raw, traits }, meanwhile) => transmit(envelope, raw, traits, meanwhile),
  }
}

/**
 * What a relay's settings mean. Unless they say otherwise, a password goes only over TLS, and a certificate must be
 * good; but a relay on this machine is believed without: its certificate is seldom made out to "localhost", and nobody
 * stands between.
 */
export function optionsFor(relay: Relay): SmtpOptions {
  const { host, port, secure, user, password } = relay
  const isLocal = isLoopback(host)
  const usual = user !== null && !isLocal ? 'required' : 'opportunistic'
  return {
    host,
    port,
    tls: secure ? 'implicit' : (relay.tls ?? usual),
    verify: relay.verify ?? (secure || relay.tls === 'required' || !isLocal),
    credentials: user === null ? null : { user, password: password ?? '' },
    mechanism: relay.auth ?? null,
    name: relay.name ?? null,
  }
}
