import { createHmac, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { hmacWith } from '../../src/platform/hmac.ts'

test('is HMAC-SHA-256, whatever the key and the text', () => {
  for (const size of [1, 16, 32, 64]) {
    const key = randomBytes(size)
    const hmac = hmacWith(key)
    for (const text of ['', 'a', 'ä€𝄞', 'x'.repeat(511), '€'.repeat(512), '€'.repeat(513), 'y'.repeat(5_000), 'b']) {
      expect(hmac(text), `${size} ${text.length}`).toEqual(createHmac('sha256', key).update(text).digest())
    }
  }
})
