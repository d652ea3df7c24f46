import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import MailComposer from 'nodemailer/lib/mail-composer'
import { readDkimKey } from '../packages/server/src/delivery/dkim/key.ts'
import { signDkim } from '../packages/server/src/delivery/dkim/sign.ts'
import type { OutgoingMessage, RelayAbilities } from '../packages/server/src/delivery/mime/message.ts'
import { createMimeWriter } from '../packages/server/src/delivery/mime/writer.ts'
import { type Bar, type Measure, median } from './measure.ts'

/** Does what is measured `times` times. */
type Contender = (times: number) => void | Promise<void>

const ROUNDS = 7
/** Of one contender in one round. */
const MILLISECONDS = 300
/** Octets of a message, both parts together. */
const SIZE = 20_000
/** Different messages, so that no two in a row are the same. */
const POOL = 64

const EIGHT_BIT: RelayAbilities = { eightBit: true, smtpUtf8: false }
const SEVEN_BIT: RelayAbilities = { eightBit: false, smtpUtf8: false }

/**
 * Writing and signing messages of 20 KB, on one core, beside nodemailer's composer and beside bare signatures. The
 * texts are ready, as the renderer leaves them.
 */
export async function run(): Promise<Measure[]> {
  return [...(await writing()), ...(await signing())]
}

async function writing(): Promise<Measure[]> {
  const latin = letters('Grüße', '\r\n')
  const lineFeeds = letters('Grüße', '\n')
  const wide = letters('Grüße „aus“ 🎉', '\r\n')
  const of = 'nodemailer MailComposer, 20 KB'
  const rates = await race({
    [of]: composing(latin),
    '20 KB as 8bit': writingTo(EIGHT_BIT, latin),
    '20 KB as 8bit, lines ended by LF': writingTo(EIGHT_BIT, lineFeeds),
    '20 KB as 8bit, beyond Latin-1': writingTo(EIGHT_BIT, wide),
    '20 KB as quoted-printable': writingTo(SEVEN_BIT, latin),
    '20 KB as quoted-printable, beyond Latin-1': writingTo(SEVEN_BIT, wide),
  })
  return measuresOf(rates, 'messages/s', (name) =>
    name === of ? null : { of, bar: { atLeast: name.includes('8bit') ? 15 : 8 } },
  )
}

async function signing(): Promise<Measure[]> {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const ed25519 = generateKeyPairSync('ed25519').privateKey
  const [message] = letters('Grüße', '\r\n')
  const written = createMimeWriter().write(message!, SEVEN_BIT)
  if (!written.ok) throw new Error(written.problem)
  const now = new Date()
  const dkim = (privateKeys: KeyObject[]) => {
    const keys = privateKeys.map((key, index) => keyOf(key, `s${index}`))
    return together(() => signDkim(written.raw, keys, now))
  }
  const header = written.raw.subarray(0, written.bodyAt)
  const signInPool = promisify<string | null, Buffer, KeyObject, Buffer>(sign)
  const bare = {
    'bare RSA-2048 signatures': together(() => signInPool('sha256', header, rsa)),
    'bare Ed25519 signatures': together(() => signInPool(null, header, ed25519)),
  }
  const limits: { [name: string]: keyof typeof bare } = {
    'DKIM, RSA-2048': 'bare RSA-2048 signatures',
    'DKIM, Ed25519': 'bare Ed25519 signatures',
    'DKIM, both': 'bare RSA-2048 signatures',
  }
  const rates = await race({
    ...bare,
    'DKIM, RSA-2048': dkim([rsa]),
    'DKIM, Ed25519': dkim([ed25519]),
    'DKIM, both': dkim([rsa, ed25519]),
  })
  return measuresOf(rates, 'messages/s', (name) => (limits[name] ? { of: limits[name] } : null))
}

function keyOf(privateKey: KeyObject, selector: string) {
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const read = readDkimKey({ domain: 'example.org', selector, privateKey: pem })
  if (!read.ok) throw new Error(read.problem)
  return read.key
}

function writingTo(relay: RelayAbilities, messages: readonly OutgoingMessage[]): Contender {
  const writer = createMimeWriter()
  return (times) => {
    for (let i = 0; i < times; i++) {
      const written = writer.write(messages[i % POOL]!, relay)
      if (!written.ok) throw new Error(written.problem)
    }
  }
}

function composing(messages: readonly OutgoingMessage[]): Contender {
  return async (times) => {
    for (let i = 0; i < times; i++) {
      const { headers = [], from, to, subject, messageId, date, text, html } = messages[i % POOL]!
      const composer = new MailComposer({
        ...{ from, to: to as typeof from, subject, messageId, date, text, html },
        headers: headers.map(({ name, value, oneLine }) => ({
          key: name,
          value: oneLine ? ({ prepared: true, foldLines: false, value } as unknown as string) : value,
        })),
        disableFileAccess: true,
        disableUrlAccess: true,
      })
      await composer.compile().build()
    }
  }
}

/** As delivery does it: many under way at a time. */
function together(once: () => Promise<Buffer>): Contender {
  return async (times) => {
    for (let done = 0; done < times; done += 32) await Promise.all(Array.from({ length: 32 }, once))
  }
}

/** Times a second of each contender in each round; they take turns, after one round that only warms them up. */
async function race(contenders: { [name: string]: Contender }): Promise<Map<string, number[]>> {
  const rates = new Map(Object.keys(contenders).map((name) => [name, [] as number[]]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, contender] of Object.entries(contenders)) {
      globalThis.gc?.()
      let times = 0
      const start = performance.now()
      while (performance.now() - start < MILLISECONDS) {
        await contender(64)
        times += 64
      }
      if (round > 0) rates.get(name)!.push((times * 1_000) / (performance.now() - start))
    }
  }
  return rates
}

function measuresOf(
  rates: ReadonlyMap<string, readonly number[]>,
  unit: string,
  beside: (name: string) => { of: string; bar?: Bar } | null,
): Measure[] {
  return Array.from(rates, ([name, ours]) => {
    const against = beside(name)
    if (!against) return { name, value: median(ours), unit }
    const theirs = rates.get(against.of)!
    return { name, value: median(ours), unit, ratio: median(ours.map((rate, i) => rate / theirs[i]!)), ...against }
  })
}

/** Messages like those that shops send; `greeting` decides which characters are in them. */
function letters(greeting: string, lineEnd: string): OutgoingMessage[] {
  return Array.from({ length: POOL }, (_, index) => {
    const rows = (count: number, row: (i: number) => string) => Array.from({ length: count }, (_, i) => row(i))
    const html = rows(70, (i) =>
      [
        '<tr><td style="padding: 12px 18px; border-bottom: 1px solid #e4ded2; font-size: 15px">',
        `  <a href="https://mail.example.com/c/${index}-${i}/1f0c"><b>Item number ${i}</b></a><br>`,
        `  ${greeting}! Hand made on the quay, tested in salt water, and sent in a box that fits.</td></tr>`,
      ].join(lineEnd),
    ).join(lineEnd)
    const text = rows(40, (i) => `Item number ${i}, ${greeting} and all that: hand made on the quay, for you.`).join(
      lineEnd,
    )
    return {
      from: { name: 'Grüße', address: 'shop@example.org' },
      to: { name: `Ada ${index}`, address: `ada${index}@example.com` },
      subject: `Schön, dass du da bist, Nummer ${index}`,
      messageId: `<${index}.abc@example.org>`,
      date: new Date('2026-03-02T10:00:00Z'),
      headers: [
        { name: 'X-Fairlead-Ref', value: `${index}.abc` },
        { name: 'List-Unsubscribe', value: `<https://mail.example.com/u/${'x'.repeat(90)}>`, oneLine: true },
        { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' },
      ],
      // Through bytes, so that each is one piece of memory and not a tree of strings.
      text: Buffer.from(text).toString(),
      html: Buffer.from(html.slice(0, SIZE - text.length)).toString(),
    }
  })
}
