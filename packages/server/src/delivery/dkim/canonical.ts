const TAB = 9
const LF = 10
const CR = 13
const SPACE = 32

/** A header field in the relaxed form (RFC 6376 §3.4.2), without its CRLF. */
export function relaxedField(field: string): string {
  const colon = field.indexOf(':')
  const name = field.slice(0, colon).toLowerCase().trimEnd()
  const value = field
    .slice(colon + 1)
    .replace(/\r\n/g, '')
    .replace(/[\t ]+/g, ' ')
  return `${name}:${value.replace(/^ | $/g, '')}`
}

/**
 * A body in the relaxed form (RFC 6376 §3.4.4): blanks together are one space, none at the end of a line, no empty lines
 * at the end, and the last line has an end. Answers the very body where it has this form already.
 */
export function relaxedBody(body: Buffer): Buffer {
  let changed = firstChange(body)
  if (changed === body.length) return body
  // Line ends before it are only kept if text follows.
  while (changed >= 2 && endsLine(body, changed - 2)) changed -= 2
  // Up to two octets more than there were: the end of the last line.
  const relaxed = Buffer.allocUnsafe(body.length + 2)
  body.copy(relaxed, 0, 0, changed)
  return relaxed.subarray(0, relax(body, changed, relaxed))
}

/** The start of the first line that is not relaxed; 0 for a body that does not end as it should; else its length. */
function firstChange(body: Buffer): number {
  const { length } = body
  const hasGoodEnd = length > 2 && endsLine(body, length - 2) && !endsLine(body, length - 4)
  if (length > 0 && !hasGoodEnd) return 0
  let line = 0
  for (let i = 0; i < length; i++) {
    while (i < length && body[i]! > SPACE) i += 1
    const octet = body[i]
    if (octet === LF) line = i + 1
    else if (octet === TAB) return line
    else if (octet === SPACE) {
      const next = body[i + 1]!
      if (next === SPACE || next === TAB || (next === CR && endsLine(body, i + 1))) return line
    }
  }
  return length
}

/** Writes the relaxed form of what begins at `from` into `target`, at the same place. @returns where it ends */
function relax(body: Buffer, from: number, target: Buffer): number {
  const { length } = body
  let out = from
  let blank = false
  let lineEnds = 0
  for (let i = from; i < length; ) {
    const octet = body[i]!
    if (octet === SPACE || octet === TAB) {
      blank = true
      i += 1
    } else if (octet === CR && body[i + 1] === LF) {
      blank = false
      lineEnds += 1
      i += 2
    } else {
      // Only now is it known that these lines are not the empty ones at the end.
      for (; lineEnds > 0; lineEnds--) out = lineEnd(target, out)
      if (blank) target[out++] = SPACE
      blank = false
      do target[out++] = body[i++]!
      while (i < length && body[i]! > SPACE)
    }
  }
  return out > 0 ? lineEnd(target, out) : 0
}

function lineEnd(target: Buffer, out: number): number {
  target[out] = CR
  target[out + 1] = LF
  return out + 2
}

const endsLine = (body: Buffer, at: number) => body[at] === CR && body[at + 1] === LF
