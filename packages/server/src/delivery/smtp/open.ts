import { connect, isIPv6 } from 'node:net'
import { hostname } from 'node:os'
import { type Credentials, chooseMechanism, type Mechanism, signIn } from './auth.ts'
import { type Capabilities, readCapabilities } from './capabilities.ts'
import { encrypt, isLoopback, type TlsFacts, tlsFactsOf } from './encryption.ts'
import { createProbe, type Probe } from './probe.ts'
import { isPositive, type Reply, textOf } from './reply.ts'
import { TIMEOUTS, type Timeouts } from './timeouts.ts'
import { createTransmit, type Transmit } from './transaction.ts'
import { createWire, type Wire } from './wire.ts'

export interface SmtpOptions {
  host: string
  /** Where the host is; unset: the system is asked. */
  address?: string
  port: number
  /** From the first byte; by STARTTLS or not at all; by STARTTLS when it is offered; never. */
  tls: 'implicit' | 'required' | 'opportunistic' | 'off'
  /** Whether the server's certificate must be trusted and made out to the host. */
  verify: boolean
  /** Certificates to trust instead of the system's, in PEM. */
  ca?: string
  credentials: Credentials | null
  /** How to sign in; null: the strongest way that is offered. */
  mechanism: Mechanism | null
  /** What we call ourselves in EHLO; null: this machine's name if it is a full one, else its address. */
  name: string | null
  /** Milliseconds; what is not named is as RFC 5321 §4.5.3.2 says. */
  timeouts?: Partial<Timeouts>
  /** Gives up the connecting; has no effect on an open session. */
  signal?: AbortSignal
}

/** What a server said of itself, for people who look for what is wrong. */
export interface Offers extends Capabilities {
  greeting: string
  /** False: it knows only HELO. */
  isExtended: boolean
  /** Null: not encrypted. */
  tls: TlsFacts | null
  /** How we signed in; null: not at all. */
  signedIn: Mechanism | null
}

/** What every server can take. */
export const NO_OFFERS: Offers = {
  ...readCapabilities({ code: 250, lines: [] }),
  greeting: '',
  isExtended: false,
  tls: null,
  signedIn: null,
}

/** A connection that is ready for messages, one at a time. */
export interface SmtpSession {
  offers: Offers
  transmit: Transmit
  probe: Probe
  /** False once it cannot carry another message. */
  isUsable(): boolean
  /** Says goodbye; cuts off what is under way. */
  close(): void
}

/** Where the opening of a session came to an end. */
export type Stage = 'connect' | 'greeting' | 'hello' | 'tls' | 'auth'
export type SmtpOpened = { ok: true; session: SmtpSession } | { ok: false; stage: Stage; problem: string }

/** A stage that failed, within this file. */
class Failure {
  readonly stage: Stage
  readonly problem: string
  constructor(stage: Stage, problem: string) {
    this.stage = stage
    this.problem = problem
  }
}

/** Connects, greets, encrypts, signs in. Never rejects. */
export async function openSmtp(options: SmtpOptions): Promise<SmtpOpened> {
  const { host, address = host, port, signal } = options
  const wire = createWire(connect({ host: address, port }), { ...TIMEOUTS, ...options.timeouts })
  const abort = () => wire.cut('given up')
  signal?.addEventListener('abort', abort)
  if (signal?.aborted) abort()
  try {
    const offers = await begin(wire, options)
    const transmit = createTransmit(wire, offers)
    const isUsable = () => wire.ended() === null
    return { ok: true, session: { offers, transmit, probe: createProbe(wire, offers), isUsable, close: wire.quit } }
  } catch (failure) {
    wire.quit()
    if (!(failure instanceof Failure)) throw failure
    return { ok: false, stage: failure.stage, problem: failure.problem }
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

async function begin(wire: Wire, options: SmtpOptions): Promise<Offers> {
  if (!(await wire.connected())) throw new Failure('connect', wire.ended()!)
  let tls = options.tls === 'implicit' ? await goSecure(wire, options) : null
  const greeting = required(wire, 'greeting', await wire.ask('', ['greeting']))
  if (greeting.code !== 220) throw new Failure('greeting', `the server does not take mail now: ${textOf(greeting)}`)

  let hello = await sayHello(wire, options)
  if (!tls && (await startTls(wire, options, hello.capabilities))) {
    tls = await goSecure(wire, options)
    // What was said in the clear may have been put there by somebody else (RFC 3207 §4.2).
    hello = await sayHello(wire, options)
  }
  const signedIn = options.credentials && (await authenticate(wire, options, hello.capabilities, tls !== null))
  return { ...hello.capabilities, greeting: textOf(greeting), isExtended: hello.isExtended, tls, signedIn }
}

async function sayHello(wire: Wire, { name }: SmtpOptions) {
  const ourName = name ?? nameOf(wire)
  const extended = required(wire, 'hello', await wire.ask(`EHLO ${ourName}\r\n`, ['hello']))
  if (isPositive(extended)) return { capabilities: readCapabilities(extended), isExtended: true }
  // RFC 5321 §3.2: a server that does not know EHLO is greeted the old way.
  if (extended.code < 500) throw new Failure('hello', `the server refuses EHLO: ${textOf(extended)}`)
  const plain = required(wire, 'hello', await wire.ask(`HELO ${ourName}\r\n`, ['hello']))
  if (!isPositive(plain)) throw new Failure('hello', `the server refuses EHLO and HELO: ${textOf(plain)}`)
  return { capabilities: readCapabilities({ ...plain, lines: plain.lines.slice(0, 1) }), isExtended: false }
}

/** RFC 5321 §4.1.4: a full name, else an address in brackets. */
function nameOf(wire: Wire): string {
  const name = hostname()
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(name)) return name
  const address = wire.socket().localAddress?.replace(/^::ffff:/, '') ?? '127.0.0.1'
  return isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`
}

/** @returns whether the server is ready for TLS now */
async function startTls(wire: Wire, { tls }: SmtpOptions, { startTls }: Capabilities): Promise<boolean> {
  if (tls === 'off') return false
  if (!startTls) {
    if (tls === 'required') throw new Failure('tls', 'the server does not offer STARTTLS, which is required here')
    return false
  }
  const reply = required(wire, 'tls', await wire.ask('STARTTLS\r\n', ['tls']))
  if (isPositive(reply)) return true
  if (tls === 'required') throw new Failure('tls', `the server refuses STARTTLS: ${textOf(reply)}`)
  return false
}

async function goSecure(wire: Wire, { host, verify, ca }: SmtpOptions): Promise<TlsFacts> {
  const socket = await wire.secure((plain) => encrypt(plain, { host, verify, ca }))
  if (!socket) throw new Failure('tls', `no TLS with ${host}: ${wire.ended()}`)
  return tlsFactsOf(socket)
}

async function authenticate(wire: Wire, options: SmtpOptions, { auth }: Capabilities, isEncrypted: boolean) {
  const isPrivate = isEncrypted || isLoopback(wire.socket().remoteAddress)
  const choice = chooseMechanism(auth, options.mechanism, isPrivate)
  if ('problem' in choice) throw new Failure('auth', choice.problem)
  const problem = await signIn(wire, choice.mechanism, options.credentials!)
  if (problem) throw new Failure('auth', problem)
  return choice.mechanism
}

/** The one reply that was asked for. A 421 in its place ended the connection. */
function required(wire: Wire, stage: Stage, [reply]: readonly Reply[]): Reply {
  if (reply && wire.ended() === null) return reply
  throw new Failure(stage, reply ? `the server closes the connection: ${textOf(reply)}` : wire.ended()!)
}
