import { hash, sign as signWith } from 'node:crypto'
import { promisify } from 'node:util'
import { relaxedBody, relaxedField } from './canonical.ts'
import type { DkimKey } from './key.ts'

const signInPool = promisify<string | null, Buffer, DkimKey['privateKey'], Buffer>(signWith)

/**
 * What is signed, and signed as missing beyond that, so that nobody adds a second one (RFC 6376 §8.15). RFC 8058 §4
 * wants the fields for one-click unsubscribing among them.
 */
const ALWAYS = [
  'From',
  'Sender',
  'Reply-To',
  'To',
  'Cc',
  'Subject',
  'Date',
  'Message-ID',
  'MIME-Version',
  'Content-Type',
  'Content-Transfer-Encoding',
]
/** Signed, and guarded against additions, in messages that have them: relays may add their own to others. */
const IF_PRESENT = [
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
  'List-Id',
  'List-Help',
  'List-Owner',
  'In-Reply-To',
  'References',
  'Feedback-ID',
  'CFBL-Address',
]

/**
 * Signs a message (RFC 6376, RFC 8463), relaxed in header and body. Signatures are made in the thread pool, all at once;
 * the body is hashed once for all.
 *
 * @param message as it goes over the wire, before dot-stuffing; signed once it has left, nothing may re-encode it
 * @param now goes into `t=`
 * @returns header fields to be put before the message, one for each key
 */
export async function signDkim(message: Buffer, keys: readonly DkimKey[], now: Date): Promise<Buffer> {
  const { fields, body } = split(message)
  const names = signedNames(fields)
  const covered = selectFields(fields, names).map(relaxedField).join('\r\n')
  const bodyHash = hash('sha256', relaxedBody(body), 'base64')
  const signatures = await Promise.all(
    keys.map(async (key) => {
      const field = unsigned(key, names, bodyHash, now)
      // The field itself comes last, its value of b= empty, without a line end (RFC 6376 §3.7).
      const signed = Buffer.from(`${covered}\r\n${relaxedField(field)}`, 'latin1')
      return `${field}${foldBase64(await signatureOf(key, signed))}\r\n`
    }),
  )
  return Buffer.from(signatures.join(''), 'latin1')
}

function signatureOf({ algorithm, privateKey }: DkimKey, data: Buffer): Promise<Buffer> {
  // Ed25519 signs the hash, as if that were the message (RFC 8463 §3).
  return algorithm === 'rsa-sha256'
    ? signInPool('sha256', data, privateKey)
    : signInPool(null, hash('sha256', data, 'buffer'), privateKey)
}

/** Octets of the header are kept as they are, one in a character. */
function split(message: Buffer): { fields: string[]; body: Buffer } {
  const end = message.indexOf('\r\n\r\n')
  const header = message.toString('latin1', 0, end === -1 ? message.length : end)
  return {
    fields: header.split(/\r\n(?![\t ])/).filter((field) => field.includes(':')),
    body: end === -1 ? message.subarray(message.length) : message.subarray(end + 4),
  }
}

/** Names for `h=`: each as often as it occurs, and once more. */
function signedNames(fields: readonly string[]): string[] {
  const occurrences = new Map<string, number>()
  for (const field of fields) {
    const name = nameOf(field)
    occurrences.set(name, (occurrences.get(name) ?? 0) + 1)
  }
  const names = [...ALWAYS, ...IF_PRESENT.filter((name) => occurrences.has(name.toLowerCase()))]
  return names.flatMap((name) => Array<string>((occurrences.get(name.toLowerCase()) ?? 0) + 1).fill(name))
}

/** The fields that names stand for: of one name the last first, and nothing where there is none left (RFC 6376 §5.4.2). */
function selectFields(fields: readonly string[], names: readonly string[]): string[] {
  const left = Map.groupBy(fields, nameOf)
  return names.flatMap((name) => left.get(name.toLowerCase())?.pop() ?? [])
}

const nameOf = (field: string) => field.slice(0, field.indexOf(':')).trimEnd().toLowerCase()

/** The field up to the value of `b=` (RFC 6376 §3.5). */
function unsigned(key: DkimKey, names: readonly string[], bodyHash: string, now: Date): string {
  return [
    `DKIM-Signature: v=1; a=${key.algorithm}; c=relaxed/relaxed;`,
    `d=${key.domain}; s=${key.selector};`,
    `t=${Math.floor(now.getTime() / 1000)}; bh=${bodyHash};`,
    `h=${foldNames(names)};`,
    'b=',
  ].join('\r\n ')
}

/** Lines of at most 76 characters, broken after colons, where white space is allowed. */
function foldNames(names: readonly string[]): string {
  let text = ''
  let column = 3
  for (const [index, name] of names.entries()) {
    const piece = index < names.length - 1 ? `${name}:` : name
    if (column + piece.length + 1 > 76) {
      text += '\r\n  '
      column = 2
    }
    text += piece
    column += piece.length
  }
  return text
}

function foldBase64(signature: Buffer): string {
  return (signature.toString('base64').match(/.{1,72}/g) ?? []).join('\r\n  ')
}
