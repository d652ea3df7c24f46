import { sql } from 'kysely'
import { type Level, levelOf } from '../consent/levels.ts'
import { type LinkActs, varsOf } from '../links/link-parameters.ts'
import type { Lists } from '../lists/lists.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Tx } from '../platform/database.ts'
import { shardOfId } from '../platform/shard.ts'
import { parseAddress } from '../profiles/address.ts'
import type { Act, ProfileChange } from '../profiles/change.ts'
import { type Profiles, retrying } from '../profiles/door.ts'
import type { SettingsCache } from '../settings/settings.ts'
import type { LinkActTable } from './tables.ts'

export interface LinkActParts {
  db: Database
  clock: Clock
  settings: SettingsCache
  profiles: Pick<Profiles, 'changeIn'>
  lists: Pick<Lists, 'find'>
}

/**
 * How a click on a link with parameters is dealt with. By itself, ten minutes later and if a person clicked, it only
 * ever joins lists and sets vars of somebody who has not opted out. Everything else takes the press of a button.
 */
export function handlingOf(
  acts: LinkActs,
  url: string,
  level: Level,
  settings: { link_list_mode: 'scored' | 'interstitial' | 'off'; site_domains: string },
): 'ignore' | 'ask' | 'later' {
  if (settings.link_list_mode === 'off' || !isOnSite(url, settings.site_domains)) return 'ignore'
  if (settings.link_list_mode === 'interstitial' || level !== 'none') return 'ask'
  return acts.lists.some(([, join]) => !join) ? 'ask' : 'later'
}

/** @param domains with commas between; their subdomains count. Empty: every site does */
function isOnSite(url: string, domains: string): boolean {
  const wanted = domains.split(',').flatMap((part) => part.trim().toLowerCase() || [])
  const host = new URL(url).hostname
  return wanted.length === 0 || wanted.some((domain) => host === domain || host.endsWith(`.${domain}`))
}

/** The change that a click asks for; lists that do not exist are passed over. Never one of the level. */
export async function changeFor(
  lists: Pick<Lists, 'find'>,
  acts: LinkActs,
  profileId: number,
  act: Act,
): Promise<ProfileChange> {
  const ids = acts.lists.length > 0 ? await lists.find(acts.lists.map(([name]) => name)) : new Map<string, number>()
  const wanted = acts.lists.flatMap(([name, join]): Array<[number, boolean]> => {
    const id = ids.get(name)
    return id === undefined ? [] : [[id, join]]
  })
  return {
    person: { kind: 'id', value: profileId },
    create: false,
    act: { ...act, listSource: 'link_param' },
    lists: new Map(wanted),
    ...(acts.vars.length > 0 ? { vars: varsOf(acts) } : {}),
  }
}

const BATCH = 100

type Due = Pick<LinkActTable, 'shard' | 'id' | 'message_id' | 'profile_id' | 'acts'> & {
  machine: boolean
  /** Where the message went, and where the person has their mail now. */
  address: string
  email: string | null
}

/**
 * Carries out what clicks asked for whose time has come, unless a machine made them, or the person has opted out
 * meanwhile.
 *
 * @returns how many were dealt with
 */
export function applyLinkActs({ db, clock, settings, profiles, lists }: LinkActParts): Promise<number> {
  return retrying(() =>
    db.transaction().execute(async (tx) => {
      const due = await takeDue(tx, clock.now())
      if (due.length === 0) return 0
      const { link_list_mode: mode } = await settings.get(tx)
      const genuine = mode === 'off' ? [] : due.filter(({ machine }) => !machine)
      const reachable = await lockReachable(tx, genuine)
      const changes: ProfileChange[] = []
      for (const { message_id, profile_id, acts, address, email } of genuine) {
        if (!reachable.has(profile_id)) continue
        const act: Act = { via: 'link', evidence: 0, messageId: message_id, url: '/c' }
        const change = await changeFor(lists, acts, profile_id, act)
        const joins = isStillTheirs(address, email) ? [...(change.lists ?? [])].filter(([, join]) => join) : []
        changes.push({ ...change, lists: new Map(joins) })
      }
      if (changes.length > 0) await profiles.changeIn(tx, changes)
      return due.length
    }),
  )
}

/** Events are settled long before; one that is not yet makes its acts wait. */
async function takeDue(tx: Tx, now: Date): Promise<Due[]> {
  const { rows } = await sql<Due>`
    with due as (
      select a.shard, a.id from link_act a join message_event e using (shard, id)
      where a.due_at <= ${now} and e.settled order by a.due_at limit ${BATCH} for update of a skip locked
    ), taken as (
      delete from link_act a using due where a.shard = due.shard and a.id = due.id returning a.*
    )
    select t.shard, t.id, t.message_id, coalesce(v.profile_id, t.profile_id) as profile_id, t.acts, e.machine,
      m.address, p.email
    from taken t
    join message_event e on e.shard = t.shard and e.id = t.id
    join message m on m.shard = t.shard and m.id = t.message_id
    left join profile_moved v on v.shard = t.shard and v.id = t.profile_id
    left join profile p on p.id = coalesce(v.profile_id, t.profile_id)
      and p.shard = (coalesce(v.profile_id, t.profile_id) & 63)::smallint
    order by t.id`.execute(tx)
  return rows
}

/** A link permits something only to the owner of the mailbox that it was mailed to. */
export const isStillTheirs = (address: string, email: string | null): boolean =>
  email !== null && parseAddress(address)?.lookup === parseAddress(email)?.lookup

/** People who get mail without reserve, held until the transaction ends. */
async function lockReachable(tx: Tx, due: readonly Due[]): Promise<Set<number>> {
  const ids = [...new Set(due.map(({ profile_id }) => profile_id))]
  if (ids.length === 0) return new Set()
  const { rows } = await sql<{ id: number; level: number }>`
    select p.id, p.level from profile p
    join unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as w(shard, id) using (shard, id)
    order by p.id for update of p`.execute(tx)
  return new Set(rows.filter(({ level }) => levelOf(level) === 'none').map(({ id }) => id))
}
