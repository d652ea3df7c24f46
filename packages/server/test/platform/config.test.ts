import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { connectionShares } from '../../src/supervisor.ts'

const config = (env: Record<string, string>) => {
  const outcome = readConfig(env, '/srv')
  if (!outcome.ok) throw new Error(outcome.problem)
  return outcome.config
}
const problem = (env: Record<string, string>) => {
  const outcome = readConfig(env, '/srv')
  return outcome.ok ? null : outcome.problem
}

describe('the environment', () => {
  test('says nothing: everything has a default', () => {
    expect(config({})).toEqual({
      dataDir: '/srv/data',
      host: '127.0.0.1',
      port: 8080,
      consolePort: 8081,
      publicUrl: 'http://127.0.0.1:8080',
      databaseUrl: null,
      account: null,
      operator: null,
      relays: [],
      direct: null,
      smtpConnections: 20,
      workers: expect.any(Number),
      dkim: [],
      bounceDomain: null,
      from: { name: 'Fairlead', address: 'hello@example.com' },
      trustProxy: null,
      answerWithin: 15,
    })
  })

  test('proxies are named by address, by network or by number', () => {
    const trusts = (value: string) => config({ FAIRLEAD_TRUST_PROXY: value }).trustProxy
    expect(trusts('127.0.0.1')).toEqual(['127.0.0.1'])
    expect(trusts('10.1.0.0/16, ::1 ,fd00::/8')).toEqual(['10.1.0.0/16', '::1', 'fd00::/8'])
    expect(trusts('2')).toBe(2)
  })

  test('the time in which calls are answered is a number of seconds', () => {
    expect(config({ FAIRLEAD_ANSWER_WITHIN: '30' }).answerWithin).toBe(30)
    for (const value of ['0', '1.5', '301', 'soon']) {
      expect(problem({ FAIRLEAD_ANSWER_WITHIN: value })).toBe(
        `FAIRLEAD_ANSWER_WITHIN must be a number of seconds from 1 to 300, not "${value}"`,
      )
    }
  })

  test.each(['0', '10', 'true', '*', '10.0.0.300', '10.0.0.0/33', '0.0.0.0/0', '::/0', '10.0.0.1,', 'fe80::1%eth0'])(
    'no proxy is trusted that is called %s',
    (value) => {
      expect(problem({ FAIRLEAD_TRUST_PROXY: value })).toContain('FAIRLEAD_TRUST_PROXY must be')
    },
  )

  test('as many workers as are wanted share the connections', () => {
    const shares = (workers: string, connections: string) =>
      connectionShares(config({ FAIRLEAD_WORKERS: workers, FAIRLEAD_SMTP_CONNECTIONS: connections }))
    expect(shares('1', '20')).toEqual([20])
    expect(shares('3', '20')).toEqual([7, 7, 6])
    expect(shares('4', '2')).toEqual([1, 1])
    expect(config({}).workers).toBeGreaterThan(0)
    for (const value of ['0', '65', 'two', '1.5']) {
      expect(problem({ FAIRLEAD_WORKERS: value })).toBe(
        `FAIRLEAD_WORKERS must be a number from 1 to 64, not "${value}"`,
      )
    }
  })

  test('an empty variable counts as unset', () => {
    expect(config({ FAIRLEAD_PORT: '', FAIRLEAD_SMTP_URL: '', FAIRLEAD_API_KEY: ' ' })).toEqual(config({}))
  })

  test('variables of other programs are none of our business', () => {
    expect(problem({ PORT: 'x', FAIRLEADER: 'x' })).toBeNull()
  })

  test('an unknown variable is named, with the one that was probably meant', () => {
    expect(problem({ FAIRLEAD_PROT: '1' })).toBe(
      'FAIRLEAD_PROT is not a setting of Fairlead; did you mean FAIRLEAD_PORT?',
    )
    expect(problem({ FAIRLEAD_COFFEE_MACHINE: '1' })).toBe('FAIRLEAD_COFFEE_MACHINE is not a setting of Fairlead')
  })

  test.each(['0', '65536', 'http', '80.5', '-1', '1e3'])('a port cannot be %s', (value) => {
    expect(problem({ FAIRLEAD_PORT: value })).toContain('FAIRLEAD_PORT must be a number from 1 to 65535')
  })

  test('the two listeners need two ports', () => {
    expect(problem({ FAIRLEAD_PORT: '8081' })).toContain('they must differ')
  })

  test('links point to where this machine can be reached', () => {
    expect(config({ FAIRLEAD_HOST: '0.0.0.0' }).publicUrl).toBe('http://localhost:8080')
    expect(config({ FAIRLEAD_HOST: '::1', FAIRLEAD_PORT: '90' }).publicUrl).toBe('http://[::1]:90')
    expect(config({ FAIRLEAD_PUBLIC_URL: 'https://mail.example.com/' }).publicUrl).toBe('https://mail.example.com')
    expect(config({ FAIRLEAD_PUBLIC_URL: 'https://example.com/mail/' }).publicUrl).toBe('https://example.com/mail')
  })

  test.each(['mail.example.com', 'ftp://example.com', 'https://example.com/?a=b', 'https://u:p@example.com'])(
    'the public address cannot be %s',
    (value) => expect(problem({ FAIRLEAD_PUBLIC_URL: value })).toContain('FAIRLEAD_PUBLIC_URL must look like'),
  )

  test('a relay has its usual port, and its password may hold any character', () => {
    expect(config({ FAIRLEAD_SMTP_URL: 'smtp://relay.example.com' }).relays[0]).toEqual({
      host: 'relay.example.com',
      port: 587,
      secure: false,
      user: null,
      password: null,
    })
    expect(config({ FAIRLEAD_SMTP_URL: 'smtps://ada%40example.com:a%3Ab%2F@[::1]:2465' }).relays[0]).toEqual({
      host: '::1',
      port: 2465,
      secure: true,
      user: 'ada@example.com',
      password: 'a:b/',
    })
  })

  test('several relays stand one after the other, each with its weight', () => {
    const { relays } = config({ FAIRLEAD_SMTP_URL: 'smtp://a.example.com?weight=3  smtps://b.example.com' })
    expect(relays.map(({ host, weight }) => [host, weight])).toEqual([
      ['a.example.com', 3],
      ['b.example.com', undefined],
    ])
    expect(config({}).relays).toEqual([])
    expect(problem({ FAIRLEAD_SMTP_URL: 'smtp://a.example.com?weight=0' })).toContain('weight must be')
  })

  test('DKIM keys are read from their files', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-dkim-'))
    const { privateKey } = generateKeyPairSync('ed25519', {
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    })
    writeFileSync(join(folder, 'key.pem'), privateKey)
    writeFileSync(join(folder, 'bad.pem'), 'hunter2')
    const read = (value: string) => readConfig({ FAIRLEAD_DKIM: value }, folder)
    const outcome = read('s1@Example.com=key.pem s2@example.org=./key.pem')
    const keys = outcome.ok ? outcome.config.dkim.map(({ domain, selector }) => `${selector}@${domain}`) : outcome
    expect(keys).toEqual(['s1@Example.com', 's2@example.org'])
    expect(read('example.com=key.pem')).toMatchObject({ problem: expect.stringContaining('must look like') })
    expect(read('s1@example.com=none.pem')).toMatchObject({ problem: expect.stringContaining('no such file') })
    const bad = read('s1@example.com=bad.pem')
    expect(bad).toMatchObject({ problem: expect.stringContaining('FAIRLEAD_DKIM: the DKIM key of example.com') })
    expect(JSON.stringify(bad)).not.toContain('hunter2')
  })

  test('connections are counted', () => {
    expect(config({ FAIRLEAD_SMTP_CONNECTIONS: '50' }).smtpConnections).toBe(50)
    expect(problem({ FAIRLEAD_SMTP_CONNECTIONS: 'many' })).toContain('FAIRLEAD_SMTP_CONNECTIONS must be')
  })

  test('bounces have a domain of their own if one is named', () => {
    expect(config({}).bounceDomain).toBeNull()
    expect(config({ FAIRLEAD_BOUNCE_DOMAIN: 'Bounce.Example.com' }).bounceDomain).toBe('bounce.example.com')
    expect(problem({ FAIRLEAD_BOUNCE_DOMAIN: 'a@b' })).toContain('FAIRLEAD_BOUNCE_DOMAIN must be')
  })

  test('a sender is a name and an address, or the address alone', () => {
    expect(config({ FAIRLEAD_FROM: 'ada@example.com' }).from).toEqual({ name: '', address: 'ada@example.com' })
    expect(config({ FAIRLEAD_FROM: '"Shop, the" <shop@example.com>' }).from.name).toBe('Shop, the')
    expect(problem({ FAIRLEAD_FROM: 'Shop\r\nBcc: x <shop@example.com>' })).toContain('FAIRLEAD_FROM')
    expect(problem({ FAIRLEAD_FROM: 'no address' })).toContain('FAIRLEAD_FROM')
  })

  test.each([
    'postgres://ada:secret@db.example.com:5433/fairlead?sslmode=require',
    'postgresql://ada:secret@/fairlead?host=/run/postgresql',
    'postgres:///fairlead?host=/run/postgresql',
  ])('a database is named by a URL: %s', (value) => {
    expect(config({ FAIRLEAD_DATABASE_URL: value }).databaseUrl).toBe(value)
  })

  test('pairs come whole', () => {
    expect(problem({ FAIRLEAD_API_KEY: 'k' })).toContain('FAIRLEAD_API_SECRET is not')
    expect(problem({ FAIRLEAD_API_SECRET: 's' })).toContain('FAIRLEAD_API_KEY is not')
    expect(problem({ FAIRLEAD_ADMIN_EMAIL: 'ada@example.com' })).toContain('FAIRLEAD_ADMIN_PASSWORD is not')
    expect(problem({ FAIRLEAD_ADMIN_PASSWORD: 'p' })).toContain('FAIRLEAD_ADMIN_EMAIL is not')
  })

  test.each([
    { FAIRLEAD_DATABASE_URL: 'mysql://root:hunter2@db/x' },
    { FAIRLEAD_DATABASE_URL: 'hunter2' },
    { FAIRLEAD_SMTP_URL: 'http://u:hunter2@relay' },
    { FAIRLEAD_SMTP_URL: 'smtp://u:hunter2%@relay' },
    { FAIRLEAD_SMTP_URL: 'smtp://u:hunter2@relay/path' },
    { FAIRLEAD_API_KEY: 'k', FAIRLEAD_API_SECRET: 'hunter2 ' + 'x'.repeat(200) },
    { FAIRLEAD_ADMIN_EMAIL: 'nobody', FAIRLEAD_ADMIN_PASSWORD: 'hunter2' },
  ] as Array<Record<string, string>>)('a problem never repeats a secret: %j', (env) => {
    const text = problem(env)
    expect(text).toContain(Object.keys(env)[0]!.slice(0, 13))
    expect(text).not.toContain('hunter2')
    expect(text).not.toContain('\n')
  })
})
