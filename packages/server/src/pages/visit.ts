import { sql } from 'kysely'
import type { Deliverability } from '../consent/decide.ts'
import { type Level, levelOf } from '../consent/levels.ts'
import { coalesce } from '../platform/coalesce.ts'
import type { Queryable } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import { shardOfId, shardOfKey } from '../platform/shard.ts'
import { parseAddress } from '../profiles/address.ts'
import type { Via } from '../profiles/change.ts'

/** Everything a preference page may show of the person behind a link. */
export interface Visit {
  /** Null: nobody by that id, perhaps erased. */
  person: Visitor | null
  /** Natural lists that the person is on or may be offered, by label. */
  lists: VisitorList[]
  /** The message that led here. */
  message: VisitedMessage | null
  /** Revision of the account's own page of the wanted name; null: there is none. */
  pageRevision: number | null
}

export interface Visitor {
  id: number
  email: string | null
  level: Level
  levelAt: Date | null
  levelVia: Via | null
  /** Number of the newest refusal of any kind: what a form that is shown now knows of. */
  decided: number
  complainedAt: Date | null
  optoutAt: Date | null
  vars: JsonObject
  sms: { marketing?: string }
  deliverability: Deliverability
  /** Templates that the person left. */
  templateOptouts: Array<{ id: number; name: string; label: string }>
}

export interface VisitorList {
  name: string
  /** What the person reads. */
  label: string
  member: boolean
  /** Shown by the built-in page. */
  offered: boolean
}

export interface VisitedMessage {
  id: number
  isCampaign: boolean
  address: string
  template: { id: number; name: string; label: string } | null
}

export interface WantedVisit {
  profileId: number
  messageId: number | null
  page: string
}

interface Row {
  id: number | null
  email: string | null
  level: number
  level_at: Date | null
  level_via: string | null
  decided: number
  complained_at: Date | null
  optout_at: Date | null
  vars: JsonObject
  sms: { marketing?: string }
  state: string | null
  lists: Array<[name: string, label: string | null, member: boolean, primary: boolean]> | null
  outs: Array<[id: number, name: string, label: string | null]> | null
  message_kind: string | null
  message_address: string | null
  template_id: number | null
  template_name: string | null
  template_label: string | null
  page_revision: number | null
}

/** Reads visits; those wanted at the same time share one statement. */
export function createVisits(db: Queryable): (wanted: WantedVisit) => Promise<Visit> {
  return coalesce((wanted: WantedVisit[]) => readVisits(db, wanted), { atOnce: 2, size: 100 })
}

async function readVisits(db: Queryable, wanted: WantedVisit[]): Promise<Visit[]> {
  const { rows } = await sql<Row>`
    select p.id, p.email, p.level, p.level_at, p.level_via, p.decided, p.complained_at, p.optout_at, p.vars,
      p.sms, a.state,
      (select json_agg(json_build_array(l.name, l.public_name, j.list_id is not null, l.is_primary)
          order by coalesce(nullif(l.public_name, ''), l.name))
        from list l
        left join list_member j on j.shard = p.shard and j.profile_id = p.id and j.list_id = l.id
        where l.type = 'normal' and (l.is_primary or j.list_id is not null)) as lists,
      (select json_agg(json_build_array(o.template_id, ot.name, o.public_name) order by ot.name)
        from template_optout o cross join lateral (
          select name from template one
          where one.deleted_at is null and (one.id = o.template_id or one.public_name = o.public_name)
          order by one.id = o.template_id desc limit 1) ot
        where o.shard = p.shard and o.profile_id = p.id) as outs,
      m.kind as message_kind, m.address as message_address,
      t.id as template_id, t.name as template_name, r.fields ->> 'public_name' as template_label,
      (select revision from page where name = w.page and type = 'manage') as page_revision
    from unnest(${wanted.map((one) => shardOfId(one.profileId))}::smallint[],
      ${wanted.map((one) => one.profileId)}::bigint[],
      ${wanted.map((one) => shardOfId(one.messageId ?? 0))}::smallint[],
      ${wanted.map((one) => one.messageId)}::bigint[], ${wanted.map((one) => one.page)}::text[])
      with ordinality as w(shard, profile_id, message_shard, message_id, page, n)
    left join profile_moved v on v.shard = w.shard and v.id = w.profile_id
    left join profile p on p.id = coalesce(v.profile_id, w.profile_id)
      and p.shard = (coalesce(v.profile_id, w.profile_id) & 63)::smallint
    left join address a on a.shard = p.shard and a.address = lower(p.email)
    left join message m on m.shard = w.message_shard and m.id = w.message_id
    left join template t on t.id = m.template_id and t.deleted_at is null
    left join template_revision r on r.id = t.revision_id
    order by n`.execute(db)
  const visits = rows.map((row, index) => visitOf(row, wanted[index]!))
  await completeDeliverability(db, rows, visits)
  return visits
}

function visitOf(row: Row, wanted: WantedVisit): Visit {
  const template =
    row.template_id === null || row.template_name === null
      ? null
      : { id: row.template_id, name: row.template_name, label: row.template_label || row.template_name }
  return {
    pageRevision: row.page_revision,
    message:
      wanted.messageId === null || row.message_kind === null
        ? null
        : {
            id: wanted.messageId,
            isCampaign: row.message_kind === 'campaign',
            address: row.message_address ?? '',
            template,
          },
    lists: listsOf(row),
    person: row.id === null ? null : visitorOf(row, row.id),
  }
}

function listsOf(row: Row): VisitorList[] {
  const lists = row.lists ?? []
  // Until the account says which lists are for the public, the ones that the person is on are shown.
  const anyPublic = lists.some(([, label, , primary]) => primary || label)
  return lists.map(([name, label, member, primary]) => ({
    name,
    label: label || name,
    member,
    offered: !anyPublic || primary || Boolean(label),
  }))
}

function visitorOf(row: Row, id: number): Visitor {
  return {
    id,
    email: row.email,
    level: levelOf(row.level),
    levelAt: row.level_at,
    levelVia: row.level_via as Via | null,
    decided: row.decided,
    complainedAt: row.complained_at,
    optoutAt: row.optout_at,
    vars: row.vars,
    sms: row.sms,
    deliverability: (row.state ?? 'unknown') as Deliverability,
    templateOptouts: (row.outs ?? []).map(([out, name, label]) => ({ id: out, name, label: label || name })),
  }
}

/**
 * A person and the address they came with live in one shard, so the statement above finds the state of the address; of
 * an address taken on later it is looked up here.
 */
async function completeDeliverability(db: Queryable, rows: Row[], visits: Visit[]): Promise<void> {
  const elsewhere = visits.flatMap(({ person }) => {
    const lookup = person?.email && parseAddress(person.email)?.lookup
    if (!person || !lookup) return []
    const shard = shardOfKey('email', lookup)
    const seen = shard === shardOfId(person.id) && lookup === person.email?.toLowerCase()
    return seen ? [] : [{ person, lookup, shard }]
  })
  if (elsewhere.length === 0 || rows.length === 0) return
  const { rows: found } = await sql<{ address: string; state: string }>`
    select a.address, a.state
    from unnest(${elsewhere.map((one) => one.shard)}::smallint[], ${elsewhere.map((one) => one.lookup)}::text[])
      as w(shard, address)
    join address a using (shard, address)`.execute(db)
  const states = new Map(found.map((row) => [row.address, row.state]))
  for (const { person, lookup } of elsewhere) {
    person.deliverability = (states.get(lookup) ?? 'unknown') as Deliverability
  }
}
