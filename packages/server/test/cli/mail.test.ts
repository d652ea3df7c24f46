import { afterAll, beforeAll, expect, test } from 'vitest'
import { type MailHouse, mailHouse } from '../delivery/support.ts'
import { commandsOn } from './support.ts'

let house: MailHouse
let fairlead: ReturnType<typeof commandsOn>
beforeAll(async () => {
  house = await mailHouse()
  fairlead = commandsOn(house.connection)
})
afterAll(() => house.end())

test('without a relay mail is caught, and people can list and read it', async () => {
  expect(await fairlead('mail', 'list')).toEqual({ code: 0, said: ['No mail was caught yet'], complaints: [] })
  const content_html = '<p>Grüße, {n}. <a href="https://example.com/?a=1&amp;b=2">To the shop</a></p>'
  await house.templates.save('Shop', { subject: 'Für {n}', content_html, is_basic: true })
  house.deliver({ relays: [] })
  for (const [n, address] of [
    ['Ada', 'ada@example.com'],
    ['Bob', 'bob.with.a.long.name@example.com'],
  ] as const) {
    await house.reaches(await house.send('Shop', address, { vars: { n } }), 'sent')
  }
  expect((await fairlead('mail', 'list')).said).toEqual([
    'ID  RECEIVED          TO                                SUBJECT',
    ' 2  2026-03-02 10:00  bob.with.a.long.name@example.com  Für Bob',
    ' 1  2026-03-02 10:00  ada@example.com                   Für Ada',
  ])
  expect((await fairlead('mail', 'list', '--to', 'ADA@example.com')).said).toHaveLength(2)
  const shown = (await fairlead('mail', 'show', '1')).said
  expect(shown).toContain('To:          ada@example.com')
  expect(shown).toContain('  To the shop: https://example.com/?a=1&b=2')
  expect((await fairlead('mail', 'show', '--links')).said).toEqual(['https://example.com/?a=1&b=2'])
  expect((await fairlead('mail', 'show', '2', '--html')).said[0]).toContain('Grüße, Bob')
  expect((await fairlead('mail', 'show', '2', '--raw')).said[0]).toContain('Subject: =?UTF-8?')
  expect(await fairlead('mail', 'show', '9')).toMatchObject({
    code: 1,
    complaints: ['fairlead: there is no caught mail 9'],
  })
})
