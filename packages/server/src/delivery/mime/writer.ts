import { type Arena, createArena } from './arena.ts'
import { type BodyPart, encodePart } from './body-part.ts'
import { boundaryOf } from './boundary.ts'
import { writeHead } from './head.ts'
import { type OutgoingMessage, type Refusal, type RelayAbilities, refusal, type WrittenMessage } from './message.ts'

export interface MimeWriter {
  /** Writes a message for a relay, or says in which field it cannot be written. */
  write(message: OutgoingMessage, relay: RelayAbilities): WrittenMessage | Refusal
}

/** Octets that finished messages share one allocation of: a dozen of the usual size. */
const SHARED = 1 << 18
/** Octets to encode parts in. */
const WORKROOM = 1 << 20

/**
 * Writes messages as RFC 5322 and RFC 2045 want them. All text is encoded anew for each message; encoding what does not
 * change beforehand was considered and left (docs/decisions/0013-own-mime-writer.md).
 */
export function createMimeWriter(): MimeWriter {
  const finished = createArena(SHARED)
  const workroom = createArena(WORKROOM)
  return {
    write(message, relay) {
      const head = writeHead(message, relay.smtpUtf8)
      if (!head.ok) return head
      workroom.clear()
      const parts: Part[] = []
      if (message.text !== undefined) {
        parts.push({ type: 'text/plain', body: encodePart(message.text, relay.eightBit, workroom) })
      }
      if (message.html !== undefined) {
        parts.push({ type: 'text/html', body: encodePart(message.html, relay.eightBit, workroom) })
      }
      if (parts.length === 0) return refusal('no-content', 'body', 'the message has neither text nor HTML')
      const { recipients, smtpUtf8 } = head
      const start = `${head.text}MIME-Version: 1.0\r\n`
      const written = parts.length === 1 ? single(start, parts[0]!) : alternative(start, parts, message.messageId)
      return {
        ok: true,
        raw: join(written.pieces, finished),
        bodyAt: written.bodyAt,
        recipients,
        eightBit: smtpUtf8 || parts.some(isEightBit),
        smtpUtf8,
        leadingDot: parts.some(({ body }) => body.leadingDot),
      }
    },
  }
}

interface Part {
  type: 'text/plain' | 'text/html'
  body: BodyPart
}

interface Pieces {
  pieces: (string | Buffer)[]
  /** Octets before the body. */
  bodyAt: number
}

const isEightBit = ({ body }: Part) => body.encoding === '8bit'

/** A body of one part; the last line ends even if the text does not say so (RFC 5322 §2.3). */
function single(start: string, part: Part): Pieces {
  const header = `${start}${describe(part)}\r\n`
  const { octets } = part.body
  const isEnded = octets.length === 0 || octets[octets.length - 1] === 10
  return { pieces: [header, octets, isEnded ? '' : '\r\n'], bodyAt: Buffer.byteLength(header) }
}

/** The same in several forms, best last (RFC 2046 §5.1.4). */
function alternative(start: string, parts: readonly Part[], seed: string): Pieces {
  const boundary = boundaryOf(
    seed,
    parts.filter(({ body }) => body.leadingDashes).map(({ body }) => body.octets),
  )
  // RFC 2045 §6.4: said of the whole if it is true of a part.
  const encoding = parts.some(isEightBit) ? '8bit' : '7bit'
  const header =
    `${start}Content-Type: multipart/alternative;\r\n boundary="${boundary}"\r\n` +
    `Content-Transfer-Encoding: ${encoding}\r\n\r\n`
  const pieces: (string | Buffer)[] = [header]
  // The line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1), so texts arrive exactly as they are.
  for (const [index, part] of parts.entries()) {
    pieces.push(`${index === 0 ? '' : '\r\n'}--${boundary}\r\n${describe(part)}\r\n`, part.body.octets)
  }
  pieces.push(`\r\n--${boundary}--\r\n`)
  return { pieces, bodyAt: Buffer.byteLength(header) }
}

function describe({ type, body }: Part): string {
  return `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: ${body.encoding}\r\n`
}

function join(pieces: readonly (string | Buffer)[], arena: Arena): Buffer {
  const most = pieces.reduce((sum, piece) => sum + piece.length * (typeof piece === 'string' ? 3 : 1), 0)
  return arena.fill(most, (room) => {
    let end = 0
    for (const piece of pieces) {
      end += typeof piece === 'string' ? room.write(piece, end, 'utf8') : piece.copy(room, end)
    }
    return end
  })
}
