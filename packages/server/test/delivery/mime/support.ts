import { expect } from 'vitest'
import type { OutgoingMessage, RelayAbilities, WrittenMessage } from '../../../src/delivery/mime/message.ts'
import { createMimeWriter } from '../../../src/delivery/mime/writer.ts'

export const EIGHT_BIT: RelayAbilities = { eightBit: true, smtpUtf8: false }
export const SEVEN_BIT: RelayAbilities = { eightBit: false, smtpUtf8: false }
export const MODERN: RelayAbilities = { eightBit: true, smtpUtf8: true }

const writer = createMimeWriter()

/** A message like any other, but for what is given. */
export function letter(given: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return {
    from: { name: 'Shop', address: 'shop@example.org' },
    to: { name: '', address: 'ada@example.com' },
    subject: 'Hello',
    messageId: '<1.abc@example.org>',
    date: new Date('2026-03-02T10:00:00Z'),
    text: 'Hello\r\n',
    ...given,
  }
}

export function attempt(given: Partial<OutgoingMessage>, relay = EIGHT_BIT) {
  return writer.write(letter(given), relay)
}

/** Writes a message that can be written, and checks what holds for all. */
export function write(given: Partial<OutgoingMessage>, relay = EIGHT_BIT): WrittenMessage {
  const written = attempt(given, relay)
  if (!written.ok) throw new Error(written.problem)
  checkWire(written)
  return written
}

/**
 * RFC 5321 §2.3.7 and §2.3.8, RFC 5322 §2.1.1 and §2.2, RFC 2045 §2.7 and §2.8, and the promises of `WrittenMessage`.
 *
 * @param verbatim a field may hold, on one line, what looks like an encoded word and is none of ours
 */
export function checkWire(written: WrittenMessage, verbatim = false): void {
  const wire = written.raw.toString('latin1')
  expect(wire.endsWith('\r\n')).toBe(true)
  const lines = wire.slice(0, -2).split('\r\n')
  const bad = lines.filter((line) => /[\r\n\0]/.test(line) || line.length > 998)
  expect(bad).toEqual([])
  expect(lines.some((line) => line.startsWith('.'))).toBe(written.leadingDot)
  if (!written.eightBit) expect(/[\u0080-\u00ff]/.test(wire)).toBe(false)
  expect(wire.slice(written.bodyAt - 4, written.bodyAt)).toBe('\r\n\r\n')
  for (const line of wire.slice(0, written.bodyAt - 4).split('\r\n')) {
    expect(line).toMatch(/^(?:[!-9;-~]+:(?: |$)|[\t ]+[^\t ])/)
    if (!written.smtpUtf8) expect(line).toMatch(/^[ -~]*$/)
    if (verbatim) continue
    if (line.includes('=?UTF-8?')) expect(line.length).toBeLessThanOrEqual(76)
    for (const word of line.match(/=\?UTF-8\?[^ ]*/g) ?? []) expect(word.length).toBeLessThanOrEqual(75)
  }
}

/** The lines of a header field, as written. */
export function field(written: WrittenMessage, name: string): string[] {
  const header = written.raw.toString('utf8', 0, written.bodyAt - 4)
  const fields = header.split(/\r\n(?![\t ])/).filter((one) => one.toLowerCase().startsWith(`${name.toLowerCase()}:`))
  expect(fields.length, `${name} fields`).toBeLessThanOrEqual(1)
  return fields[0]?.split('\r\n') ?? []
}

export function bodyOf(written: WrittenMessage): string {
  return written.raw.toString('utf8', written.bodyAt)
}
