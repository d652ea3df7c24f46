import { sql } from 'kysely'
import type { Level } from '../consent/levels.ts'
import type { Queryable, Tx } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import { shardOfId } from '../platform/shard.ts'
import type { Via } from '../profiles/change.ts'
import type { Settings } from '../settings/settings.ts'
import { type NewPostback, writePostbacks } from './write.ts'

/** What is read of a signal. */
export interface PostedSignal {
  shard: number
  id: number
  profileId: number
  type: string
  payload: JsonObject
}

type Urls = Pick<Settings, 'optout_postback_url' | 'hardbounce_postback_url' | 'postback_api_changes'>

type CalledFor = Pick<NewPostback, 'action' | 'url' | 'body'>

/** What a signal needs to become a postback. */
export interface PostbackFacts {
  /** Present address of the person; null: there is none, and nothing can be told. */
  email: string | null
  templateName(id: number): string | null
  sendIdOf(messageId: number): string
}

/** Writes the postbacks that signals call for; a signal that comes again writes nothing. */
export type FromSignals = (
  tx: Tx,
  signals: readonly PostedSignal[],
  env: { now: Date; settings: Urls },
) => Promise<void>

/**
 * A caller knows what it did itself by API or import, so these are posted only when the account wants them; what
 * people, operators and flows do is always posted.
 */
const OWN_DOING: ReadonlySet<Via> = new Set(['api', 'import'])

/** The rule: which postback a signal calls for, if any. */
export function postbackFor(signal: PostedSignal, settings: Urls, facts: PostbackFacts): CalledFor | null {
  const { payload } = signal
  if (signal.type === 'hardbounce') {
    const address = typeof payload.address === 'string' ? payload.address : facts.email
    if (!settings.hardbounce_postback_url || !address) return null
    const body = { action: 'hardbounce', email: address, ...sendOf(payload, facts, ['send_id']) }
    return { action: 'hardbounce', url: settings.hardbounce_postback_url, body }
  }
  const what = optoutOf(signal, facts)
  if (!what || !settings.optout_postback_url || facts.email === null) return null
  if (OWN_DOING.has(payload.via as Via) && !settings.postback_api_changes) return null
  const body = {
    action: 'optout',
    email: facts.email,
    ...what,
    ...(typeof payload.reason === 'string' ? { reason: payload.reason } : {}),
    ...sendOf(payload, facts, ['message_id', 'send_id']),
  }
  return { action: 'optout', url: settings.optout_postback_url, body }
}

/** `mode` is the level reached, or the level left when the person is back; `optout` 0 means back in. */
function optoutOf({ type, payload }: PostedSignal, facts: PostbackFacts): { mode: string; optout: string } | null {
  if (type === 'optout_changed') {
    const [from, to] = [payload.from as Level, payload.to as Level]
    return to === 'none' ? { mode: from, optout: '0' } : { mode: to, optout: '1' }
  }
  if (type !== 'template_optout') return null
  const name = facts.templateName(Number(payload.templateId))
  const what = { mode: 'template', optout: payload.out ? '1' : '0' }
  return name === null ? what : ({ ...what, template: name } as typeof what)
}

function sendOf(payload: JsonObject, facts: PostbackFacts, names: readonly string[]): { [name: string]: string } {
  if (typeof payload.messageId !== 'number') return {}
  const sendId = facts.sendIdOf(payload.messageId)
  return Object.fromEntries(names.map((name) => [name, sendId]))
}

/** @param parts.sendIdOf how callers outside know a message */
export function createFromSignals(parts: { sendIdOf(messageId: number): string }): FromSignals {
  return async (tx, signals, { now, settings }) => {
    const wanted = signals.filter(({ type }) => wantsPostback(type, settings))
    if (wanted.length === 0) return
    const emails = await readEmails(tx, wanted)
    const names = await readTemplateNames(tx, wanted)
    const made = wanted.flatMap((signal) => {
      const facts = {
        email: emails.get(signal.profileId) ?? null,
        templateName: (id: number) => names.get(id) ?? null,
        sendIdOf: parts.sendIdOf,
      }
      const postback = postbackFor(signal, settings, facts)
      return postback ? [{ signal, ...postback }] : []
    })
    if (made.length === 0) return
    await writePostbacks(
      tx,
      made.map(({ signal, ...postback }) => ({
        ...postback,
        profileId: signal.profileId,
        dedupeKey: `signal:${signal.id}`,
      })),
      now,
    )
  }
}

function wantsPostback(type: string, settings: Urls): boolean {
  if (type === 'hardbounce') return settings.hardbounce_postback_url !== ''
  return settings.optout_postback_url !== '' && (type === 'optout_changed' || type === 'template_optout')
}

async function readEmails(q: Queryable, signals: readonly PostedSignal[]): Promise<Map<number, string | null>> {
  const ids = [...new Set(signals.map((signal) => signal.profileId))]
  const { rows } = await sql<{ id: number; email: string | null }>`
    select p.id, p.email from unnest(${ids.map(shardOfId)}::smallint[], ${ids}::bigint[]) as w(shard, id)
    join profile p using (shard, id)`.execute(q)
  return new Map(rows.map(({ id, email }) => [id, email]))
}

async function readTemplateNames(q: Queryable, signals: readonly PostedSignal[]): Promise<Map<number, string>> {
  const ids = signals.filter(({ type }) => type === 'template_optout').map(({ payload }) => Number(payload.templateId))
  if (ids.length === 0) return new Map()
  const { rows } = await sql<{ id: number; name: string }>`
    select id, name from template where id = any(${ids}::int[])`.execute(q)
  return new Map(rows.map(({ id, name }) => [id, name]))
}
