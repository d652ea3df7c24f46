import { isUtf8 } from 'node:buffer'
import { tooManyParameters, unreadableBody } from './errors.ts'
import { MAX_PARAMETERS } from './parameters.ts'

/**
 * The framing of multipart bodies (RFC 2046 §5.1, RFC 7578): cuts a stream of bytes into parts. Libraries for it
 * refuse what clients of this API send (a last boundary without dashes, text in an unnamed character set), so it is
 * done here, as a plain loop over chunks.
 */

/** A part begins, or the current part goes on. */
export type PartEvent = { part: PartHead } | { content: Buffer }

export interface PartHead {
  /** Name of the form field. */
  name: string
  /** Set when the part is a file. Never holds a path. */
  fileName: string | null
}

const LONGEST_HEADERS = 16 * 1024
const LINE = '\r\n'

/**
 * Parts in order, each followed by its content in pieces. Parts that are no form field are left out.
 * A body that ends without its last boundary ends there.
 * @throws ApiError 99 for headers without end, and for too many parts
 */
export async function* partsOf(source: AsyncIterable<Buffer>, boundary: string): AsyncGenerator<PartEvent> {
  const delimiter = Buffer.from(`${LINE}--${boundary}`, 'latin1')
  // The first boundary may stand at the very beginning, without the line end before it.
  let buffer = Buffer.from(LINE)
  let state: 'preamble' | 'boundary' | 'headers' | 'content' | 'skipped' | 'epilogue' = 'preamble'
  let parts = 0

  for await (const chunk of source) {
    if (state === 'epilogue') continue // read all the same, so that the connection can be used again
    buffer = Buffer.concat([buffer, chunk])
    for (let more = true; more; ) {
      if (state === 'boundary') {
        if (buffer.length < 2) break
        if (buffer.toString('latin1', 0, 2) === '--') {
          state = 'epilogue'
          break
        }
        if (++parts > MAX_PARAMETERS) throw tooManyParameters(MAX_PARAMETERS)
        state = 'headers'
      }
      const next = buffer.indexOf(delimiter)
      if (state === 'headers') {
        const end = buffer.indexOf(LINE + LINE)
        const headers = end !== -1 && (next === -1 || end < next)
        if (headers) {
          const part = headOf(buffer.subarray(0, end))
          buffer = buffer.subarray(end + 4)
          state = part ? 'content' : 'skipped'
          if (part) yield { part }
        } else if (next !== -1) {
          buffer = buffer.subarray(next + delimiter.length)
          state = 'boundary'
        } else if (buffer.length > LONGEST_HEADERS) throw unreadableBody('a part with too long headers')
        else more = false
        continue
      }
      // What could be the beginning of a delimiter waits for the next chunk.
      const end = next === -1 ? Math.max(0, buffer.length - delimiter.length + 1) : next
      if (state === 'content' && end > 0) yield { content: buffer.subarray(0, end) }
      buffer = buffer.subarray(next === -1 ? end : next + delimiter.length)
      if (next === -1) more = false
      else state = 'boundary'
    }
  }
  if (state === 'content') yield { content: buffer }
}

/** `Content-Disposition: form-data; name="a"; filename="b"` → who this part is. */
function headOf(headers: Buffer): PartHead | null {
  const disposition = /^content-disposition:[ \t]*form-data[ \t]*(;.*)$/im.exec(textOf(headers))?.[1]
  const name = disposition && attribute(disposition, 'name')
  if (!name) return null
  const fileName = attribute(disposition, 'filename')
  return { name, fileName: fileName === null ? null : (fileName.split(/[/\\]/).at(-1) as string) }
}

function attribute(disposition: string, name: string): string | null {
  const found = new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^;\\s]*))`, 'i').exec(disposition)
  return found ? (found[1]?.replaceAll('\\"', '"') ?? (found[2] as string)) : null
}

/** UTF-8 if it is, else ISO-8859-1, which Java sends without saying so. */
export const textOf = (bytes: Buffer): string => bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
