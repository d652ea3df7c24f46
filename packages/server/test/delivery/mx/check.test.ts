import { expect, test } from 'vitest'
import type { Direct } from '../../../src/config.ts'
import type { Finding } from '../../../src/delivery/finding.ts'
import { checkDirect, type DirectCheck } from '../../../src/delivery/mx/check.ts'
import { CERTIFICATES } from '../smtp/support.ts'
import { serversOnOnePort, type TestWorld, world, type Zone } from './support.ts'

const FROM = { name: 'The Shop', address: 'shop@example.org' }
const NOW = new Date('2026-11-24T12:00:00Z')
const DIRECT: Direct = { name: 'mail.example.org', tls: 'opportunistic' }

async function check(mxWorld: TestWorld, more: Partial<DirectCheck> = {}): Promise<Finding[]> {
  const given = { direct: DIRECT, world: mxWorld, from: FROM, to: null, dkim: [], now: NOW, ...more }
  const findings: Finding[] = []
  for await (const finding of checkDirect(given)) findings.push(finding)
  return findings
}

const zone: Zone = {
  'example.com': {
    mx: [
      [10, 'mx1.example.com'],
      [20, 'mx2.example.com'],
    ],
  },
  'mx1.example.com': { a: ['127.0.0.2'] },
  'mx2.example.com': { a: ['127.0.0.3'] },
}

test('who takes the mail of a domain, which of them answers, and whether sender and recipient are taken', async () => {
  const certificate = CERTIFICATES.elsewhere
  const { port, servers } = await serversOnOnePort(
    { acts: { greeting: '421 busy' } },
    { offers: ['STARTTLS'], certificate },
  )
  const findings = await check(world(zone, port), { to: 'ada@example.com' })
  expect(findings.map(({ verdict, about }) => `${verdict} ${about}`)).toEqual([
    'ok name',
    'note DKIM',
    'ok MX',
    'note greeting',
    'ok connection',
    'ok greeting',
    'ok EHLO',
    'note EHLO',
    'note EHLO',
    'ok TLS',
    'note certificate',
    'ok sender',
    'ok recipient',
    'ok message',
  ])
  expect(findings[2]!.text).toBe('example.com: mx1.example.com [127.0.0.2], mx2.example.com [127.0.0.3]')
  expect(servers[1]!.taken[0]).toContain('directly to mx2.example.com [127.0.0.3]')
})

test('without a recipient the sender’s own domain is looked at, and nothing is sent', async () => {
  const { port, servers } = await serversOnOnePort({})
  const findings = await check(world({ 'example.org': { a: ['127.0.0.2'] } }, port))
  expect(findings.filter(({ verdict }) => verdict === 'wrong')).toEqual([])
  expect(servers[0]!.taken).toEqual([])
  const unreceiving = await check(world({ 'example.org': { mx: [[0, '']] } }))
  expect(unreceiving.at(-1)).toMatchObject({ verdict: 'note', about: 'MX', text: expect.stringContaining('null MX') })
})

test('what keeps mail from leaving', async () => {
  const { port } = await serversOnOnePort({ acts: { greeting: '421 busy' } })
  const barred = await check(world({ 'example.com': { a: ['127.0.0.2'] } }, port), { to: 'ada@example.com' })
  expect(barred.at(-1)).toMatchObject({
    verdict: 'wrong',
    about: 'connection',
    text: expect.stringContaining('port 25'),
  })
  const gone = await check(world({}), { to: 'ada@example.com' })
  expect(gone.at(-1)).toMatchObject({ verdict: 'wrong', about: 'MX', text: expect.stringContaining('no domain') })
  const unnamed = await check(world({}), { direct: { ...DIRECT, name: '[192.0.2.1]' } })
  expect(unnamed[0]).toMatchObject({ verdict: 'note', about: 'name' })
})
