import type { AddressHash } from '../account/pepper.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Tx } from '../platform/database.ts'
import type { Act } from '../profiles/change.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import { enqueue } from '../sends/enqueue.ts'
import type { Settings, SettingsCache } from '../settings/settings.ts'
import { emitSignals } from '../signals/emit.ts'
import type { LoadedTemplate, Templates } from '../templates/templates.ts'
import { findCredit } from './credit.ts'
import { noteForcedReceipt } from './forced.ts'
import { forTemplates, type Order, type Purchase } from './order.ts'
import { cancelReminders } from './reminder.ts'
import { cartOf, findByExtid, findBySid, insertOrder, lifetimeOf, ordersOf, replaceCart } from './store.ts'

/** A report of a shop: who, what, and what to mail. */
export interface PurchaseReport {
  email: string
  order: Order
  /** The receipt's template, for a completed order. */
  sendTemplate: string | null
  /** What to mail when the cart still lies there at that time. */
  reminder: { template: string; at: Date } | null
  act: Act
}

export type PurchaseOutcome =
  | { ok: true; profileId: number; purchase: Purchase | null }
  | { ok: false; problem: 'invalid_email' | 'duplicate_extid' }
  | { ok: false; problem: 'unknown_template'; name: string }

export interface Purchases {
  /** Keeps an order, or puts a cart in the place of the one before (`purchase` null: it is empty now). */
  record(report: PurchaseReport): Promise<PurchaseOutcome>
  /** By the number inside the id that callers know. */
  byId(id: number): Promise<Purchase | null>
  byExtid(extid: string): Promise<Purchase | null>
  /** Completed orders of a person, newest first. */
  of(profileId: number, limit: number): Promise<Purchase[]>
  cart(profileId: number): Promise<Purchase | null>
  /** Number of completed orders, and their price altogether in cents. */
  lifetime(profileId: number): Promise<{ orders: number; price: number }>
}

export interface PurchasesParts {
  db: Database
  clock: Clock
  settings: SettingsCache
  profiles: Pick<Profiles, 'changeIn'>
  templates: Pick<Templates, 'byName'>
  hash: AddressHash
  /** Which message an id stands for that was given out with it; null: none. */
  messageIdOf(sendId: string): number | null
  /** Tells delivery that there is something to do. */
  wake(): void
}

/** Rolls the transaction back and carries the refusal out of it. */
class Refused extends Error {
  readonly outcome: Exclude<PurchaseOutcome, { ok: true }>
  constructor(outcome: Exclude<PurchaseOutcome, { ok: true }>) {
    super(outcome.problem)
    this.outcome = outcome
  }
}

export function createPurchases(parts: PurchasesParts): Purchases {
  const { db, clock, settings, templates, wake } = parts
  return {
    async record(report) {
      const name = report.order.isIncomplete ? report.reminder?.template : report.sendTemplate
      const template = name ? await templates.byName(name) : null
      if (name && !template) return { ok: false, problem: 'unknown_template', name }
      const now = clock.now()
      const current = await settings.get()
      try {
        const outcome = await retrying(() =>
          db.transaction().execute((tx) => recordIn(tx, parts, report, template, { now, settings: current })),
        )
        if (template) wake()
        return outcome
      } catch (error) {
        if (error instanceof Refused) return error.outcome
        throw error
      }
    },
    byId: (id) => findBySid(db, id),
    byExtid: (extid) => findByExtid(db, extid),
    of: (profileId, limit) => ordersOf(db, profileId, limit),
    cart: (profileId) => cartOf(db, profileId),
    lifetime: (profileId) => lifetimeOf(db, profileId),
  }
}

interface Env {
  now: Date
  settings: Settings
}

/** Person, order, receipt and signal become true together, or not at all. */
async function recordIn(
  tx: Tx,
  { profiles, hash, messageIdOf }: PurchasesParts,
  { email, order, reminder, act }: PurchaseReport,
  template: LoadedTemplate | null,
  env: Env,
): Promise<PurchaseOutcome> {
  const [changed] = await profiles.changeIn(tx, [{ person: { kind: 'email', value: email }, act }])
  if (!changed?.ok) throw new Refused({ ok: false, problem: 'invalid_email' })
  const { profileId, level } = changed
  await cancelReminders(tx, profileId, env.now)
  const named = order.messageId === null ? null : messageIdOf(order.messageId)
  const purchase = order.isIncomplete
    ? await replaceCart(tx, profileId, order)
    : await insertOrder(tx, profileId, order, await findCredit(tx, order, profileId, named))
  if (!purchase) {
    if (!order.isIncomplete) throw new Refused({ ok: false, problem: 'duplicate_extid' })
    return { ok: true, profileId, purchase }
  }
  const context = { purchase: forTemplates(purchase) }
  const message = { profileId, address: email, vars: {}, options: {}, origin: 'purchase', context } as const
  if (order.isIncomplete) {
    if (template && reminder) {
      const scheduledFor = reminder.at > env.now ? reminder.at : env.now
      await enqueue(tx, [{ ...message, template, scheduledFor }], env)
    }
    return { ok: true, profileId, purchase }
  }
  if (template) {
    // A receipt that may not go out (a bounced address, a template left) is no reason to lose the order.
    const [sent] = await enqueue(tx, [{ ...message, template, force: 'receipt' }], env)
    const isForced =
      sent?.ok && env.settings.force_receipts && (level === 'all' || (level === 'basic' && !template.isBasic))
    if (isForced) await noteForcedReceipt(tx, { profileId, template, messageId: sent.messageId, act }, hash, env.now)
  }
  await emitSignals(tx, [
    {
      profileId,
      type: 'purchase',
      key: '',
      payload: context.purchase,
      source: act.via,
      evidence: act.evidence,
      cause: null,
      asOf: changed.decided,
      occurredAt: order.at,
      dedupeKey: `purchase:${purchase.id}`,
    },
  ])
  return { ok: true, profileId, purchase }
}
