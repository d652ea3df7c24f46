import { randomBytes } from 'node:crypto'
import type { Relay, Sender } from '../config.ts'
import type { DkimKey } from './dkim/key.ts'
import { signDkim } from './dkim/sign.ts'
import { type Finding, note, ok, wrong } from './finding.ts'
import { asciiDomain } from './mime/domain.ts'
import { createMimeWriter } from './mime/writer.ts'
import { isLoopback, type TlsFacts } from './smtp/encryption.ts'
import { type Offers, openSmtp, type SmtpOptions, type SmtpSession } from './smtp/open.ts'
import { type Opening, optionsFor, type TransmitOutcome } from './transport.ts'

export interface RelayCheck extends TransactionCheck {
  relay: Relay
  opening?: Opening
}

export interface TransactionCheck {
  from: Sender
  /** Gets one real message; null: none is sent. */
  to: string | null
  dkim: readonly DkimKey[]
  now: Date
}

/** Certificates that end within this many days are worth a word. */
const ENDS_SOON = 14
const DAY = 86_400_000

/**
 * Looks at a relay the way delivery uses it, one finding after the other. First it is only looked at, without a password
 * and whatever its certificate, so that there is something to say where delivery would turn away; then it is used.
 */
export async function* checkRelay(check: RelayCheck): AsyncGenerator<Finding> {
  const { relay, opening = {} } = check
  const options = { ...optionsFor(relay), ...opening }
  const looked = await openSmtp({ ...options, verify: false, credentials: null })
  if (!looked.ok) return yield wrong(NAMES[looked.stage], looked.problem)
  const { offers, close } = looked.session
  close()
  yield* saysOfItself(offers, options, check.now)

  const opened = await openSmtp(options)
  if (!opened.ok) {
    // A certificate that is not good was found already.
    if (opened.stage !== 'tls' || !offers.tls?.distrust) yield wrong(NAMES[opened.stage], opened.problem)
    return
  }
  const { session } = opened
  try {
    yield signIn(session.offers, relay)
    yield* transaction(session, check, `through ${relay.host}:${relay.port}`)
  } finally {
    session.close()
  }
}

/** What a server offers, and how it is with TLS. */
export function* saysOfItself(
  offers: Offers,
  options: Pick<SmtpOptions, 'host' | 'tls' | 'verify'>,
  now: Date,
): Generator<Finding> {
  yield ok('greeting', offers.greeting)
  yield* capabilities(offers)
  yield* encryption(offers, options, now)
}

export const NAMES = {
  connect: 'connection',
  greeting: 'greeting',
  hello: 'EHLO',
  tls: 'TLS',
  auth: 'sign-in',
} as const

function* capabilities(offers: Offers): Generator<Finding> {
  if (!offers.isExtended)
    return yield note('EHLO', 'it knows only HELO: no encryption, no sign-in, one command a round')
  yield ok('EHLO', offers.lines.join(', ') || 'offers nothing')
  if (!offers.pipelining) yield note('EHLO', 'without PIPELINING each message takes more rounds: sending is slower')
  if (!offers.eightBit) yield note('EHLO', 'without 8BITMIME all text is re-encoded, which makes messages larger')
}

function* encryption(
  { tls }: Offers,
  { host, tls: how, verify }: Pick<SmtpOptions, 'host' | 'tls' | 'verify'>,
  now: Date,
): Generator<Finding> {
  if (!tls) {
    if (isLoopback(host)) return yield ok('TLS', 'none, and none is needed on this machine')
    return yield note('TLS', 'none: mail travels in the clear')
  }
  yield ok('TLS', `${tls.protocol}, ${tls.cipher}${how === 'implicit' ? ', from the first byte' : ', by STARTTLS'}`)
  yield certificate(tls, verify, now)
}

function certificate({ subject, issuer, names, expires, distrust }: TlsFacts, verify: boolean, now: Date): Finding {
  const whose = `of ${subject || names.join(', ') || 'nobody'}, by ${issuer || 'nobody'}`
  const until = expires ? `, until ${expires.toISOString().slice(0, 10)}` : ''
  if (distrust) {
    const text = `${whose}${until}: not good (${distrust})`
    return verify ? wrong('certificate', text) : note('certificate', `${text}; it is not checked, as the settings say`)
  }
  const days = expires ? Math.floor((expires.getTime() - now.getTime()) / DAY) : Number.POSITIVE_INFINITY
  if (days < ENDS_SOON) return note('certificate', `${whose}${until}: ${days} days are left`)
  return ok('certificate', `${whose}${until}`)
}

function signIn({ auth, signedIn }: Offers, { user }: Relay): Finding {
  const offered = auth.length > 0 ? `it offers ${auth.join(', ')}` : 'it offers no way to sign in'
  if (signedIn) return ok('sign-in', `as ${user} by ${signedIn}; ${offered}`)
  return ok('sign-in', `not needed so far, as the URL has no user; ${offered}`)
}

/** Whether sender and recipient are taken, and then a message if it has somebody to go to. @param way that it takes */
export async function* transaction(
  session: SmtpSession,
  check: TransactionCheck,
  way: string,
): AsyncGenerator<Finding> {
  const { from, to } = check
  const recipient = to ?? from.address
  const { mail, rcpt } = await session.probe(from.address, recipient)
  yield mail.ok ? ok('sender', `${from.address}: ${mail.text}`) : wrong('sender', `${from.address}: ${mail.text}`)
  if (!rcpt) return
  if (rcpt.ok) yield ok('recipient', `${recipient}: ${rcpt.text}`)
  else if (to) return yield wrong('recipient', `${recipient}: ${rcpt.text}`)
  // Where no --to was given, the sender's own mailbox stands in; it need not exist for others to get mail.
  else yield note('recipient', `${recipient}: ${rcpt.text}; bounces of mail would come back there`)
  if (to) yield sent(await send(session, check, to, way), to)
}

async function send(session: SmtpSession, check: TransactionCheck, to: string, way: string): Promise<TransmitOutcome> {
  const { from, dkim, now } = check
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1)
  const keys = dkim.filter((key) => key.domain === asciiDomain(domain).toLowerCase())
  const written = createMimeWriter().write(
    {
      from,
      to: { name: '', address: to },
      subject: 'Test of the relay',
      messageId: `<test.${randomBytes(12).toString('hex')}@${domain}>`,
      date: now,
      text: `This message went out ${way}, by "fairlead relay test".\n`,
    },
    { eightBit: session.offers.eightBit && keys.length === 0, smtpUtf8: session.offers.utf8 },
  )
  if (!written.ok) return { kind: 'unsendable', problem: written.problem }
  const signature = keys.length > 0 ? await signDkim(written.raw, keys, now) : Buffer.alloc(0)
  const envelope = { from: from.address, to: written.recipients }
  return session.transmit(envelope, Buffer.concat([signature, written.raw]), written)
}

function sent(outcome: TransmitOutcome, to: string): Finding {
  switch (outcome.kind) {
    case 'accepted':
      return ok('message', `sent to ${to} in ${Math.round(outcome.ms)} ms: ${outcome.reply}`)
    case 'refused':
      return wrong('message', outcome.reply.text)
    case 'unsendable':
    case 'broken':
      return wrong('message', outcome.problem)
  }
}
