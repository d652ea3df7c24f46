import { expect, test } from 'vitest'
import { classify } from '../../../src/delivery/classify.ts'
import { findHosts, inOrder, internet } from '../../../src/delivery/mx/hosts.ts'
import { world, type Zone } from './support.ts'

const hosts = async (domain: string, zone: Zone) => {
  const found = await findHosts(domain, world(zone))
  return found.ok ? found.hosts.map(({ name, address }) => `${name} ${address}`) : found
}

test('servers come in the order of their preference, each with all its addresses (RFC 5321 §5.1)', async () => {
  const zone: Zone = {
    'example.com': {
      mx: [
        [20, 'mx2.example.com'],
        [10, 'mx1.example.com'],
      ],
    },
    'mx1.example.com': { a: ['192.0.2.1'], aaaa: ['2001:db8::1'] },
    'mx2.example.com': { a: ['192.0.2.2', '192.0.2.3'] },
  }
  expect(await hosts('Example.COM', zone)).toEqual([
    'mx1.example.com 192.0.2.1',
    'mx1.example.com 2001:db8::1',
    'mx2.example.com 192.0.2.2',
    'mx2.example.com 192.0.2.3',
  ])
})

test('those of the same preference take turns, and never pass those of a better one (RFC 5321 §5.1)', () => {
  const records = [
    { priority: 20, exchange: 'c' },
    { priority: 10, exchange: 'a' },
    { priority: 10, exchange: 'b' },
  ]
  const orders = new Set<string>()
  for (let n = 0; n < 200; n++)
    orders.add(
      inOrder(records, Math.random)
        .map(({ exchange }) => exchange)
        .join(''),
    )
  expect([...orders].sort()).toEqual(['abc', 'bac'])
})

test('a domain without MX records is its own server (RFC 5321 §5.1)', async () => {
  expect(await hosts('example.com', { 'example.com': { a: ['192.0.2.1'] } })).toEqual(['example.com 192.0.2.1'])
  expect(await hosts('example.com', { 'example.com': { mx: [], aaaa: ['2001:db8::1'] } })).toEqual([
    'example.com 2001:db8::1',
  ])
})

test('a domain with MX records is not, even if none of them is of use (RFC 5321 §5.1)', async () => {
  const zone: Zone = { 'example.com': { mx: [[10, 'gone.example.com']], a: ['192.0.2.1'] } }
  expect(await hosts('example.com', zone)).toMatchObject({ refusal: { enhanced: '5.4.4' } })
})

test('a null MX says that the domain takes no mail, and no address is looked for (RFC 7505 §3)', async () => {
  for (const root of ['', '.']) {
    const asking = world({ 'example.com': { mx: [[0, root]], a: ['192.0.2.1'] } })
    const found = await findHosts('example.com', asking)
    expect(found).toMatchObject({ refusal: { phase: 'rcpt', code: 556, enhanced: '5.1.10' } })
    expect(asking.asked).toEqual(['MX example.com'])
  }
  const mixed: Zone = {
    'example.com': {
      mx: [
        [0, ''],
        [10, 'mx1.example.com'],
      ],
    },
    'mx1.example.com': { a: ['192.0.2.1'] },
  }
  expect(await hosts('example.com', mixed)).toEqual(['mx1.example.com 192.0.2.1'])
})

test.each<[string, string, Zone, string]>([
  ['does not exist', 'example.com', {}, 'domain'],
  ['is no name that the DNS knows', 'example.com', { 'example.com': { mx: 'EBADNAME' } }, 'domain'],
  ['has no server and no address', 'example.com', { 'example.com': {} }, 'domain'],
  ['takes no mail', 'example.com', { 'example.com': { mx: [[0, '']] } }, 'invalid'],
  ['is an address', '[192.0.2.1]', {}, 'invalid'],
  ['is nothing', '', {}, 'invalid'],
])('a domain that %s refuses for good, in words that are classified', async (_, domain, zone, kind) => {
  const found = await findHosts(domain, world(zone))
  if (found.ok || !('refusal' in found)) throw new Error(JSON.stringify(found))
  expect(classify(found.refusal)).toBe(kind)
})

test.each(['ESERVFAIL', 'ETIMEOUT', 'ECONNREFUSED', 'EREFUSED'])(
  '%s of the DNS says nothing of the domain',
  async (code) => {
    const unanswered: Zone[] = [
      { 'example.com': { mx: code } },
      { 'example.com': { a: code } },
      { 'example.com': { mx: [[10, 'mx1.example.com']] }, 'mx1.example.com': { a: code } },
      {
        'example.com': {
          mx: [
            [10, 'gone.example.com'],
            [20, 'mx2.example.com'],
          ],
        },
        'mx2.example.com': { aaaa: code },
      },
    ]
    for (const zone of unanswered) {
      expect(await hosts('example.com', zone)).toEqual({ ok: false, problem: expect.stringContaining(code) })
    }
  },
)

test('one server whose address cannot be found out does not hide the others', async () => {
  const zone: Zone = {
    'example.com': {
      mx: [
        [10, 'mx1.example.com'],
        [20, 'mx2.example.com'],
        [30, 'mx3.example.com'],
      ],
    },
    'mx1.example.com': { a: 'ESERVFAIL' },
    'mx3.example.com': { a: ['192.0.2.3'] },
  }
  expect(await hosts('example.com', zone)).toEqual(['mx3.example.com 192.0.2.3'])
})

test('a domain in another script is asked for in ASCII (RFC 5891)', async () => {
  const zone: Zone = { 'xn--bcher-kva.example.com': { a: ['192.0.2.1'] } }
  expect(await hosts('Bücher.example.com', zone)).toEqual(['xn--bcher-kva.example.com 192.0.2.1'])
})

test('a domain with many servers does not keep a message for ever', async () => {
  const addresses = Array.from({ length: 50 }, (_, n) => `192.0.2.${n}`)
  expect(await hosts('example.com', { 'example.com': { a: addresses } })).toHaveLength(6)
})

test('nobody’s MX records lead to what listens on this machine', async () => {
  const { isAllowed } = internet()
  for (const address of ['127.0.0.1', '127.8.8.8', '::1', '0.0.0.0', '::', '::ffff:127.0.0.1']) {
    expect(isAllowed(address)).toBe(false)
    const own = { ...world({ 'example.com': { a: [address] } }), isAllowed }
    expect(await findHosts('example.com', own)).toMatchObject({ refusal: { enhanced: '5.4.4' } })
  }
  for (const address of ['192.0.2.1', '10.0.0.1', '2001:db8::1']) expect(isAllowed(address)).toBe(true)
})
