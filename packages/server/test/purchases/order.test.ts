import fc from 'fast-check'
import { expect, test } from 'vitest'
import { purchaseIdOf, sidOfPurchase, totalsOf } from '../../src/purchases/order.ts'

const item = (price: number, qty: number) => ({ id: '1', title: 'T', url: 'https://example.com', price, qty })

test('adjustments are part of the price, what is taken back counts against it', () => {
  const items = [item(1000, 3), item(200, -1)]
  expect(totalsOf({ items, adjustments: [{ title: 'Voucher', price: -150 }] })).toEqual({ price: 2650, qty: 2 })
})

test('parts of cents and of pieces are rounded once, in the sum', () => {
  expect(totalsOf({ items: [item(0.4, 1), item(0.4, 1)], adjustments: [] })).toEqual({ price: 1, qty: 2 })
})

test('ids go out as 24 hexadecimal digits and come back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (id) => {
      const sid = sidOfPurchase({ id, firstId: null })
      expect(sid).toMatch(/^[0-9a-f]{24}$/)
      expect(purchaseIdOf(sid)).toBe(id)
      expect(sidOfPurchase({ id: 7, firstId: id })).toBe(sid)
    }),
  )
})

test.each(['', 'x', '0'.repeat(24), 'f'.repeat(24), 'G'.repeat(24), '1'.repeat(23)])('%j is no id', (text) => {
  expect(purchaseIdOf(text)).toBe(null)
})
