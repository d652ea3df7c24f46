import { sql } from 'kysely'
import type { Deliverability } from '../consent/decide.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfKey } from '../platform/shard.ts'
import { storedKey } from './read.ts'
import { signalOf } from './rule.ts'
import { type ApplyContext, hmacOf, type People, type Plan, personId } from './working.ts'

/** How bad a state is: automatic news only ever makes it worse, except that a delivery cures a soft bounce. */
const GRAVITY: Record<Deliverability, number> = { ok: 0, unknown: 0, softbounce: 1, hardbounce: 2, invalid: 3 }

/** Records what deliveries taught about addresses. The level of their owners is not touched: it is another fact. */
export async function applyDeliverability(
  tx: Tx,
  plans: readonly Plan[],
  people: People,
  owners: ReadonlyMap<string, number>,
  context: ApplyContext,
): Promise<void> {
  const { now } = context
  for (const plan of plans) {
    const news = plan.change.deliverability
    const key = news && storedKey('email', news.address)
    if (!key || plan.problem) continue
    const shard = shardOfKey('email', key.value)
    const { rows } = await sql<{ state: Deliverability }>`
      select state from address where shard = ${shard} and address = ${key.value} for update`.execute(tx)
    const from = rows[0]?.state ?? 'unknown'
    const cures = from === 'softbounce' && news.state === 'ok'
    if (from === news.state || (GRAVITY[news.state] <= GRAVITY[from] && !cures)) continue
    await sql`
      insert into address (shard, address, state, class, detail, since)
      values (${shard}, ${key.value}, ${news.state}, ${news.class}, ${news.detail}, ${now})
      on conflict (shard, address) do update set state = excluded.state, class = excluded.class,
        detail = excluded.detail, since = excluded.since`.execute(tx)
    const id = personId(plan, owners)
    const person = id === null ? undefined : people.get(id)
    if (!person) continue
    const { act } = plan.change
    const entry = { profileId: person.after.id, addressHmac: hmacOf(person.after, context), at: now, recordedAt: now }
    const event = cures ? 'revalidated' : 'bounced'
    person.ledger.push({ ...entry, subject: 'deliverability', from, to: news.state, event, act })
    if (news.state === 'hardbounce') {
      const payload = { address: news.address, messageId: act.messageId ?? null }
      person.signals.push(signalOf(person.after, 'hardbounce', '', payload, plan.change, now))
    }
  }
}
