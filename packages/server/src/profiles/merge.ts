import { sql } from 'kysely'
import { stricter } from '../consent/levels.ts'
import type { Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import type { ProfileState } from './change.ts'
import { removeRows } from './remember.ts'

/**
 * Two profiles become one. What the addressed profile says wins, except where it would raise reachability: the
 * stricter level, every template opt-out, the earliest complaint and the latest refusal of either stay.
 */
export function mergeStates(kept: ProfileState, other: ProfileState): ProfileState {
  const lists = new Map(other.lists)
  for (const [list, at] of kept.lists) {
    const earlier = lists.get(list)
    if (!earlier || at < earlier) lists.set(list, at)
  }
  const level = stricter(kept.level, other.level)
  const levelFrom = level === kept.level ? kept : other
  return {
    ...kept,
    email: kept.email ?? other.email,
    keys: { ...other.keys, ...kept.keys },
    vars: { ...other.vars, ...kept.vars },
    sms: { ...other.sms, ...kept.sms },
    level,
    levelAt: levelFrom.levelAt,
    levelVia: levelFrom.levelVia,
    refusedAt: latest(kept.refusedAt, other.refusedAt),
    complainedAt: earliest(kept.complainedAt, other.complainedAt),
    pixelConsent: kept.pixelConsent ?? other.pixelConsent,
    createdAt: earliest(kept.createdAt, other.createdAt)!,
    signupAt: earliest(kept.signupAt, other.signupAt),
    loginAt: latest(kept.loginAt, other.loginAt),
    optoutAt: latest(kept.optoutAt, other.optoutAt),
    lists,
    templateOptouts: new Set([...kept.templateOptouts, ...other.templateOptouts]),
  }
}

/**
 * Removes the profile that ceased to exist. Its purchases move over, under new ids of the keeper's shard; shops know
 * them by the ids they were given first, which lead to the new ones from now on.
 */
export async function removeMerged(tx: Tx, kept: ProfileState, other: ProfileState): Promise<void> {
  const [shard, from] = [shardOfId(kept.id), shardOfId(other.id)]
  await sql`
    with gone as (delete from purchase where shard = ${from} and profile_id = ${other.id} returning *),
      numbered as (select *, nextval('purchase_number') * 64 + ${shard}::int as new_id from gone),
      named as (update purchase_key k set purchase_id = n.new_id from numbered n where k.purchase_id = n.id),
      moved as (insert into purchase_moved (shard, id, purchase_id)
        select coalesce(first_id, id) % 64, coalesce(first_id, id), new_id from numbered
        on conflict (shard, id) do update set purchase_id = excluded.purchase_id)
    insert into purchase (shard, id, profile_id, is_incomplete, at, price, qty, details, first_id, message_id,
      campaign_id)
    select ${shard}::smallint, new_id, ${kept.id}::bigint, is_incomplete, at, price, qty, details,
      coalesce(first_id, id), message_id, campaign_id
    from numbered
    on conflict do nothing`.execute(tx)
  await sql`
    with gone as (delete from profile_activity where shard = ${from} and profile_id = ${other.id} returning *)
    insert into profile_activity as a (shard, profile_id, opened_at, clicked_at, opens, clicks)
    select ${shard}::smallint, ${kept.id}::bigint, opened_at, clicked_at, opens, clicks from gone
    on conflict (shard, profile_id) do update set opened_at = greatest(a.opened_at, excluded.opened_at),
      clicked_at = greatest(a.clicked_at, excluded.clicked_at), opens = a.opens + excluded.opens,
      clicks = a.clicks + excluded.clicks`.execute(tx)
  await removeRows(tx, from, other.id)
}

function earliest(a: Date | null, b: Date | null): Date | null {
  if (!a || !b) return a ?? b
  return a <= b ? a : b
}

function latest(a: Date | null, b: Date | null): Date | null {
  if (!a || !b) return a ?? b
  return a >= b ? a : b
}
