import { asciiDomain } from './domain.ts'
import { encodeWords } from './encoded-word.ts'
import { checkBreaks, fold } from './header.ts'
import { type Mailbox, type Mailboxes, type Refusal, refusal } from './message.ts'

/** RFC 5322 §3.2.3, with RFC 6532 §3.2: anything beyond ASCII but controls and blanks. */
const DOT_ATOM = /^(?:[\w!#$%&'*+/=?^`{|}~-]|[^\0-\u009f\s])+(?:\.(?:[\w!#$%&'*+/=?^`{|}~-]|[^\0-\u009f\s])+)*$/
/** RFC 5321 §2.3.5, or an address literal (§4.1.3). */
const DOMAIN =
  /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*|\[[0-9A-Za-z.:]+\])$/
const ATOMS = /^[\w!#$%&'*+/=?^`{|}~-]+(?: [\w!#$%&'*+/=?^`{|}~-]+)*$/
/** Words in a quoted string, none of which is so long that a line could not be broken in time. */
const QUOTABLE = /^ ?[!-~]{1,60}(?: {1,9}[!-~]{1,60})* ?$/
const BEYOND_ASCII = /[^\0-\u007f]/

export interface AddressField {
  ok: true
  /** Empty when there is nobody to name. */
  field: string
  /** What the field names, as servers take it. */
  addresses: string[]
  /** Some address has a local part beyond ASCII. */
  smtpUtf8: boolean
}

/**
 * An address field (RFC 5322 §3.6.2, §3.6.3).
 *
 * @param most mailboxes that the field may name
 */
export function addressField(
  name: string,
  given: Mailboxes | undefined,
  most = Number.POSITIVE_INFINITY,
): AddressField | Refusal {
  const mailboxes = readMailboxes(name, given)
  if ('ok' in mailboxes) return mailboxes
  if (mailboxes.length > most) return refusal('address', name, `${name} can only name ${most === 1 ? 'one' : most}`)
  const addresses: string[] = []
  const pieces: string[] = []
  let smtpUtf8 = false
  for (const mailbox of mailboxes) {
    const broken = checkBreaks(name, mailbox.name) ?? checkBreaks(name, mailbox.address)
    if (broken) return broken
    const address = wireAddress(mailbox.address)
    if (address === null) {
      return refusal('address', name, `${JSON.stringify(mailbox.address)} in ${name} is not an email address`)
    }
    addresses.push(address)
    smtpUtf8 ||= BEYOND_ASCII.test(address)
    const display = mailbox.name.trim()
    pushPhrase(pieces, display)
    const comma = addresses.length < mailboxes.length ? ',' : ''
    pieces.push(display === '' ? ` ${address}${comma}` : ` <${address}>${comma}`)
  }
  const field = pieces.length === 0 ? '' : `${fold(`${name}:`, pieces)}\r\n`
  return { ok: true, field, addresses, smtpUtf8 }
}

/** `ada@bücher.example` → `ada@xn--bcher-kva.example`; null for what is no address. Local parts stay as they are. */
export function wireAddress(address: string): string | null {
  const text = address.trim()
  const at = text.lastIndexOf('@')
  if (at < 1) return null
  const local = text.slice(0, at)
  const domain = asciiDomain(text.slice(at + 1))
  // RFC 5321 §4.5.3.1.1 and §4.5.3.1.2, in octets.
  if (Buffer.byteLength(local) > 64 || domain.length > 253) return null
  return DOT_ATOM.test(local) && DOMAIN.test(domain) && local.isWellFormed() ? `${local}@${domain}` : null
}

/** Adds a display name as pieces that may each begin a line: plain, quoted or encoded (RFC 5322 §3.2.5, RFC 2047 §5). */
function pushPhrase(pieces: string[], name: string): void {
  if (name === '') return
  const isEncoded = name.includes('=?')
  if (!isEncoded && name.length <= 60 && ATOMS.test(name)) {
    pieces.push(` ${name}`)
  } else if (!isEncoded && QUOTABLE.test(name)) {
    // Broken at its spaces, which are part of the text (RFC 5322 §3.2.4).
    pieces.push(...(` "${name.replace(/["\\]/g, '\\$&')}"`.match(/ +[^ ]+/g) ?? []))
  } else {
    for (const word of encodeWords(name)) pieces.push(` ${word}`)
  }
}

function readMailboxes(name: string, given: Mailboxes | undefined): readonly Mailbox[] | Refusal {
  if (given === undefined) return []
  if (typeof given !== 'string') return 'address' in given ? [given] : given
  return checkBreaks(name, given) ?? parseMailboxes(given)
}

/**
 * Reads a list as people write it: `"Lovelace, Ada" <ada@example.com>, bob@example.com`. What is no address is handed
 * back as it stands, to be refused under its own name.
 */
export function parseMailboxes(list: string): Mailbox[] {
  const items: string[] = []
  let start = 0
  let quoted = false
  for (let i = 0; i < list.length; i++) {
    const character = list[i]
    if (quoted && character === '\\') i += 1
    else if (character === '"') quoted = !quoted
    else if (character === ',' && !quoted) {
      items.push(list.slice(start, i))
      start = i + 1
    }
  }
  items.push(list.slice(start))
  return items.filter((item) => item.trim() !== '').map(parseMailbox)
}

/** Writes mailboxes so that `parseMailboxes` reads the same ones again. */
export function printMailboxes(mailboxes: readonly Mailbox[]): string {
  return mailboxes
    .map(({ name, address }) =>
      name === '' ? address.trim() : `"${name.replace(/["\\]/g, '\\$&')}" <${address.trim()}>`,
    )
    .join(', ')
}

function parseMailbox(item: string): Mailbox {
  const [, before, address] = /^([\s\S]*)<([^<>]*)>\s*$/.exec(item) ?? []
  if (before === undefined || address === undefined) return { name: '', address: item.trim() }
  const name = before.trim()
  const inside = /^"([\s\S]*)"$/.exec(name)?.[1]
  return { name: inside === undefined ? name : inside.replace(/\\([\s\S])/g, '$1'), address }
}
