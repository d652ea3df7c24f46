import { expect, test } from 'vitest'
import { type Relay, readConfig } from '../../../src/config.ts'
import { openConnection, optionsFor } from '../../../src/delivery/transport.ts'
import { AUTHORITY, CERTIFICATES, CONTENT, ENVELOPE, scripted } from './support.ts'

const relayOf = (FAIRLEAD_SMTP_URL: string): Relay => {
  const outcome = readConfig({ FAIRLEAD_SMTP_URL })
  if (!outcome.ok) throw new Error(outcome.problem)
  return outcome.config.relays[0]!
}

test.each([
  ['smtp://relay.example.com', 'opportunistic', true],
  ['smtp://ada:secret@relay.example.com', 'required', true],
  ['smtps://ada:secret@relay.example.com', 'implicit', true],
  ['smtps://127.0.0.1', 'implicit', true],
  ['smtp://ada:secret@127.0.0.1', 'opportunistic', false],
  ['smtp://ada:secret@localhost:25', 'opportunistic', false],
  ['smtp://[::1]', 'opportunistic', false],
  ['smtp://127.0.0.1?tls=required', 'required', true],
  ['smtp://127.0.0.1?verify=on', 'opportunistic', true],
  ['smtp://ada:secret@relay.example.com?tls=opportunistic', 'opportunistic', true],
  ['smtp://relay.example.com?tls=required&verify=off', 'required', false],
  ['smtp://relay.example.com?tls=off', 'off', true],
  ['smtps://relay.example.com/?verify=off', 'implicit', false],
] as const)('%s: encryption %s, certificate checked: %s', (url, tls, verify) => {
  expect(optionsFor(relayOf(url))).toMatchObject({ tls, verify })
})

test('the way to sign in and our name can be set', () => {
  const options = optionsFor(relayOf('smtp://ada:a%3Fb@relay.example.com?auth=xoauth2&name=mail.example.com'))
  expect(options).toMatchObject({
    credentials: { user: 'ada', password: 'a?b' },
    mechanism: 'XOAUTH2',
    name: 'mail.example.com',
  })
  expect(optionsFor(relayOf('smtp://relay.example.com?name=[192.0.2.1]')).name).toBe('[192.0.2.1]')
})

test('mail goes without a relay', () => {
  const outgoing = (FAIRLEAD_SMTP_URL: string) => {
    const outcome = readConfig({ FAIRLEAD_SMTP_URL })
    return outcome.ok ? [outcome.config.relays, outcome.config.direct] : outcome.problem
  }
  expect(outgoing('mx:')).toEqual([[], { name: null, tls: 'opportunistic' }])
  const direct = { name: 'mail.example.com', tls: 'required' }
  expect(outgoing('MX:?name=mail.example.com&tls=required')).toEqual([[], direct])
  expect(outgoing('')).toEqual([[], null])
})

test.each([
  'smtp://u:hunter2@relay.example.com?tls=yes',
  'smtp://u:hunter2@relay.example.com?verify=false',
  'smtp://u:hunter2@relay.example.com?auth=md5',
  'smtp://u:hunter2@relay.example.com?name=a%0d%0ab',
  'smtp://u:hunter2@relay.example.com?name=a b',
  'smtp://u:hunter2@relay.example.com?name=',
  'smtp://u:hunter2@relay.example.com?hunter2=1',
  'smtp://u?hunter2@relay.example.com',
  'smtp://u:hunter2@relay.example.com#x',
  'smtps://u:hunter2@relay.example.com?tls=off',
  'mx://hunter2.example.com',
  'mx:hunter2.example.com',
  'mx:?tls=maybe',
  'mx:?name=a b',
  'mx:?verify=on&hunter2=1',
  'mx:?weight=2',
  'mx: smtp://u:hunter2@relay.example.com',
  'mx: mx:',
])('%s is refused, without a word of its secrets', (FAIRLEAD_SMTP_URL) => {
  const outcome = readConfig({ FAIRLEAD_SMTP_URL })
  expect(outcome).toMatchObject({ ok: false, problem: expect.stringMatching(/^FAIRLEAD_SMTP_URL/) })
  expect(outcome.ok || outcome.problem).not.toContain('hunter2')
})

test('a relay on this machine is used with the certificate that it has', async () => {
  const server = await scripted({ offers: ['PIPELINING', 'STARTTLS'], certificate: CERTIFICATES.elsewhere })
  const connection = await openConnection(relayOf(`smtp://127.0.0.1:${server.port}`))
  expect(connection.offers.tls).toMatchObject({ subject: 'relay.example.com', distrust: expect.any(String) })
  expect(await connection.transmit({ envelope: ENVELOPE, raw: CONTENT })).toMatchObject({ kind: 'accepted' })
  connection.close()
  await expect(openConnection(relayOf(`smtp://127.0.0.1:${server.port}?verify=on`))).rejects.toThrow('no TLS with')
  const good = await scripted({ offers: ['PIPELINING', 'STARTTLS'], certificate: CERTIFICATES.server })
  const checked = await openConnection(relayOf(`smtp://localhost:${good.port}?tls=required`), { ca: AUTHORITY })
  expect(checked.offers.tls?.distrust).toBeNull()
  checked.close()
})
