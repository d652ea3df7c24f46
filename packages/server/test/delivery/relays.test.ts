import { afterEach, beforeEach, expect, test } from 'vitest'
import { laneCounts } from '../../src/delivery/outlets.ts'
import { messageIdOf, returnPathOf } from '../../src/delivery/return-path.ts'
import { loadSigningKeys } from '../../src/links/keys.ts'
import { startSmtpSink } from '../support/smtp.ts'
import { type MailHouse, mailHouse } from './support.ts'

let house: MailHouse

beforeEach(async () => {
  house = await mailHouse()
  await house.templates.save('Notice', { subject: 'News', content_text: 'Here they are.', is_basic: true })
})
afterEach(() => house.end())

const relayAt = (port: number, weight?: number) => ({
  host: '127.0.0.1',
  port,
  secure: false,
  user: null,
  password: null,
  ...(weight === undefined ? {} : { weight }),
})

test('connections are shared by weight, and every relay has one', () => {
  expect(laneCounts([1], 20)).toEqual([20])
  expect(laneCounts([3, 1], 20)).toEqual([15, 5])
  expect(laneCounts([1000, 1], 20)).toEqual([20, 1])
})

test('several relays share the mail, and the others carry the share of one that is down', async () => {
  const second = await startSmtpSink()
  const ids: number[] = []
  for (let n = 0; n < 40; n++) ids.push(await house.send('Notice', `ada${n}@example.com`))
  house.deliver({ relays: [relayAt(house.sink.port), relayAt(second.port), relayAt(1)] })
  for (const id of ids) await house.reaches(id, 'sent')
  expect(house.sink.messages.length + second.messages.length).toBe(40)
  await second.close()
  const more = await house.send('Notice', 'bob@example.com')
  await house.reaches(more, 'sent')
})

test('the return path says which message a bounce is about, in either case, and cannot be made up', async () => {
  const keys = await loadSigningKeys(house.db, house.clock)
  house.deliver({ returnPathOf: (id) => returnPathOf(keys, id, 'bounce.example.org') })
  const id = await house.send('Notice', 'ada@example.com')
  await house.reaches(id, 'sent')
  const { from } = house.sink.messages[0]!
  expect(from).toMatch(/^b-[0-9a-v]{43}@bounce\.example\.org$/)
  expect(messageIdOf(keys, from)).toBe(id)
  expect(messageIdOf(keys, from.toUpperCase())).toBe(id)
  expect(
    messageIdOf(
      keys,
      from.replace(/.@/, (end) => (end === '0@' ? '1@' : '0@')),
    ),
  ).toBeNull()
  expect(messageIdOf(keys, 'shop@example.org')).toBeNull()
})
