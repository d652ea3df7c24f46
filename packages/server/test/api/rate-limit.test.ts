import { expect, test } from 'vitest'
import { createRateLimit, documentedLimits } from '../../src/api/rate-limit.ts'

const start = Date.parse('2030-03-05T12:00:20Z')
const reset = Date.parse('2030-03-05T12:01:00Z') / 1000

test('the documented figures, per minute', () => {
  const count = createRateLimit(documentedLimits)
  expect(count('k', 'user', 'POST', start)).toEqual({ allowed: true, limit: 18_000, remaining: 17_999, reset })
  expect(count('k', 'send', 'POST', start).limit).toBe(12_000)
  expect(count('k', 'list', 'POST', start).limit).toBe(2400)
  expect(count('k', 'user', 'GET', start).limit).toBe(18_000)
  expect(count('k', 'user', 'DELETE', start).limit).toBe(2400)
})

test('counts per key, endpoint and method until the minute ends', () => {
  const count = createRateLimit({ enabled: true, perSecond: { GET: 1, POST: 1, DELETE: 1 }, exceptions: {} })
  for (let left = 59; left >= 0; left--) {
    expect(count('k', 'list', 'GET', start)).toEqual({ allowed: true, limit: 60, remaining: left, reset })
  }
  expect(count('k', 'list', 'GET', start + 39_999)).toEqual({ allowed: false, limit: 60, remaining: 0, reset })
  expect(count('other', 'list', 'GET', start).remaining).toBe(59)
  expect(count('k', 'user', 'GET', start).remaining).toBe(59)
  expect(count('k', 'list', 'POST', start).remaining).toBe(59)
  expect(count('k', 'list', 'GET', start + 40_000)).toEqual({
    allowed: true,
    limit: 60,
    remaining: 59,
    reset: reset + 60,
  })
})

test('off: nothing is refused', () => {
  const count = createRateLimit({ ...documentedLimits, enabled: false })
  for (let i = 0; i < 3000; i++) count('k', 'list', 'POST', start)
  expect(count('k', 'list', 'POST', start)).toEqual({ allowed: true, limit: 2400, remaining: 2400, reset })
})
