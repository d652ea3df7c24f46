import { describe, expect, test } from 'vitest'
import { readLedger } from '../../src/consent/ledger.ts'
import { openPages } from './support.ts'

/** The visitor's address as the ledger keeps it. */
async function kept(env: Record<string, string>, forwarded: string, from = '10.0.0.5'): Promise<unknown> {
  const house = await openPages({ env })
  try {
    const ada = await house.reader('ada')
    const headers = { 'x-forwarded-for': forwarded }
    await house.app.inject({ method: 'POST', url: ada.u, headers, remoteAddress: from })
    return (await readLedger(house.db, ada.id)).at(-1)?.context.ip
  } finally {
    await house.close()
  }
}

describe('behind a proxy the ledger keeps', () => {
  test("the sender's own address, as long as nobody is trusted", async () => {
    expect(await kept({}, '192.0.2.7')).toBe('10.0.0.5')
  })

  test('what a trusted proxy says, and not what its visitor made up', async () => {
    const env = { FAIRLEAD_TRUST_PROXY: '10.0.0.0/8' }
    expect(await kept(env, '198.51.100.1, 192.0.2.7')).toBe('192.0.2.7')
    expect(await kept(env, '192.0.2.7', '203.0.113.9')).toBe('203.0.113.9')
    expect(await kept(env, '192.0.2.7:51234')).toBe('192.0.2.7')
    expect(await kept(env, '<b>')).toBe('10.0.0.5')
  })

  test('the last but one, when two proxies are counted', async () => {
    const env = { FAIRLEAD_TRUST_PROXY: '2' }
    expect(await kept(env, '198.51.100.1, 192.0.2.7, 10.0.0.9')).toBe('192.0.2.7')
  })
})
