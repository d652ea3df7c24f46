import { isAscii } from 'node:buffer'
import { domainToASCII } from 'node:url'
import type { Capabilities } from './capabilities.ts'
import type { Traits } from './content.ts'

/** Who hands over to whom (RFC 5321 §2.3.1). */
export interface Envelope {
  /** Return path; empty: the null sender. */
  from: string
  /** The person the message is for comes first, then those who get a copy. At least one. */
  to: readonly string[]
  /** Names the message in reports of servers that know DSN (RFC 3461 §4.4); unset: none are asked for. */
  envelopeId?: string
}

/** The commands of one message, each with its line end. */
export interface Commands {
  mail: string
  /** In the order of `to`. */
  rcpts: readonly string[]
}

export type CommandsOutcome = { ok: true; commands: Commands } | { ok: false; problem: string }

/** A path is at most 256 octets (RFC 5321 §4.5.3.1.3); a little more is the server's to judge. */
const LONGEST_ADDRESS = 500

/** Writes MAIL and RCPT for this server. Fails when the message can never be handed to it. */
export function writeCommands(
  envelope: Envelope,
  content: Buffer,
  offers: Capabilities,
  traits: Traits | null = null,
): CommandsOutcome {
  const { envelopeId, to } = envelope
  if (to.length === 0) return fail('a message without recipients')
  if (offers.size && content.length > offers.size) {
    return fail(`a message of ${content.length} bytes, and the server takes ${offers.size} at most`)
  }
  const isEightBit = traits ? traits.eightBit : !isAscii(content)
  if (isEightBit && !offers.eightBit) return fail('the content is 8-bit, and the server does not offer 8BITMIME')
  if (traits?.smtpUtf8 && !offers.utf8) {
    return fail('the header has addresses that need SMTPUTF8, which the server does not offer')
  }

  const from = onTheWire(envelope.from, offers.utf8)
  if (from === null) return fail(problemOf(envelope.from))
  let needsUtf8 = traits?.smtpUtf8 || !isPlain(from)
  const reports = offers.dsn && envelopeId !== undefined
  const rcpts: string[] = []
  for (const recipient of to) {
    if (recipient === '') return fail('a recipient without an address')
    const address = onTheWire(recipient, offers.utf8)
    if (address === null) return fail(problemOf(recipient))
    needsUtf8 ||= !isPlain(address)
    rcpts.push(`RCPT TO:<${address}>${reports ? reportsFor(address) : ''}\r\n`)
  }

  let mail = `MAIL FROM:<${from}>`
  if (offers.size !== null) mail += ` SIZE=${content.length}`
  if (isEightBit) mail += ' BODY=8BITMIME'
  if (needsUtf8) mail += ' SMTPUTF8'
  if (reports) mail += ` RET=HDRS ENVID=${xtext(envelopeId)}`
  return { ok: true, commands: { mail: `${mail}\r\n`, rcpts } }
}

const fail = (problem: string): CommandsOutcome => ({ ok: false, problem })

/**
 * An address as an argument of a command, or null when it cannot be one. What would end the argument or the command is
 * refused rather than quoted: no address that mail reaches has it. A name in another script goes as it is to a server
 * that knows SMTPUTF8; to others its domain can go in ASCII (RFC 5891), its local part cannot.
 */
function onTheWire(address: string, utf8: boolean): string | null {
  if (address.length <= LONGEST_ADDRESS && HARMLESS.test(address)) return address
  if (address.length > LONGEST_ADDRESS || /[\0-\x1f\x7f<>]/.test(address) || !address.isWellFormed()) return null
  if (utf8 || isPlain(address)) return address
  const at = address.lastIndexOf('@')
  const local = address.slice(0, at)
  const domain = domainToASCII(address.slice(at + 1))
  return at > 0 && domain !== '' && isPlain(local) ? `${local}@${domain}` : null
}

function problemOf(address: string): string {
  const shown = JSON.stringify(address.slice(0, 100))
  if (address.length > LONGEST_ADDRESS) return `the address ${shown} is too long`
  if (/[\0-\x1f\x7f<>]/.test(address) || !address.isWellFormed()) {
    return `the address ${shown} has a character that no command can carry`
  }
  return `the address ${shown} needs SMTPUTF8, which the server does not offer`
}

/** Reports of failure and delay, not of success (RFC 3461 §4.1–4.2). */
function reportsFor(address: string): string {
  const original = isPlain(address) ? ` ORCPT=rfc822;${xtext(address)}` : ''
  return ` NOTIFY=FAILURE,DELAY${original}`
}

/** RFC 3461 §4: anything but visible ASCII without "+" and "=" as its code. */
function xtext(value: string): string {
  return Buffer.from(value)
    .toString('latin1')
    .replace(
      /[^\x21-\x2a\x2c-\x3c\x3e-\x7e]/g,
      (one) => `+${one.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    )
}

/** Nearly every address: visible ASCII that means nothing to a command. */
const HARMLESS = /^[\x21-\x3b\x3d\x3f-\x7e]*$/
const isPlain = (text: string) => /^[\x00-\x7f]*$/.test(text)
