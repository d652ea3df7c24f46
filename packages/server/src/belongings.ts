import { activityBelongings } from './activity/belongings.ts'
import type { Belongings } from './profiles/belongings.ts'
import { purchaseBelongings } from './purchases/belongings.ts'
import { messageBelongings } from './sends/belongings.ts'

/** What becomes of rows about people who are merged or erased, subject by subject. */
export const BELONGINGS: readonly Belongings[] = [purchaseBelongings, activityBelongings, messageBelongings]
