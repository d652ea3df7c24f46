import type { Queryable } from '../platform/database.ts'
import type { PurchaseHistory } from '../templates/profile-data.ts'
import { forTemplates } from './order.ts'
import { cartOf, ordersOf } from './store.ts'

/** Orders of one person that templates can see. */
const LATEST = 100

/** What people bought, as templates read it: `profile.purchases` newest last, `profile.purchase_incomplete`. */
export async function loadHistories(
  q: Queryable,
  profileIds: readonly number[],
): Promise<Map<number, PurchaseHistory>> {
  const found = await Promise.all(
    profileIds.map(async (id): Promise<[number, PurchaseHistory]> => {
      const [orders, cart] = await Promise.all([ordersOf(q, id, LATEST), cartOf(q, id)])
      return [id, { purchases: orders.reverse().map(forTemplates), incomplete: cart && forTemplates(cart) }]
    }),
  )
  return new Map(found)
}
