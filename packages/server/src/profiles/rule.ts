import { mayLoosen } from '../consent/evidence.ts'
import type { LedgerEntry, LedgerEvent } from '../consent/ledger.ts'
import { isWeaker, type Level, stricter } from '../consent/levels.ts'
import type { JsonObject } from '../platform/json.ts'
import type { Settings } from '../settings/settings.ts'
import type { NewSignal } from '../signals/emit.ts'
import { type Act, HUMAN, type LevelOutcome, type ListSource, type ProfileChange, type ProfileState } from './change.ts'

/** What a change made of a profile. `state` is a new value; the one passed in is untouched. */
export interface Folded {
  state: ProfileState
  ledger: LedgerEntry[]
  signals: NewSignal[]
  levelOutcome: LevelOutcome | null
  joined: number[]
  left: number[]
}

export interface RuleContext {
  now: Date
  settings: Settings
  /** Keyed hash of the person's address, for the ledger. */
  addressHmac: () => Buffer | null
  /** Names of the lists the change speaks of. */
  listName(id: number): string
}

const PERSON_ORIGINATED: ReadonlySet<ListSource> = new Set(['hosted_page', 'site_form', 'confirm_link', 'link_param'])

/**
 * The rule for everything but keys, merging and erasing: a profile and a change in, the changed profile, what the
 * ledger says of it and the signals for others out. The invariants of consent live here and nowhere else: an opt-out
 * becomes weaker only by sufficient proof (`mayLoosen`) that is newer than the newest refusal; deliverability never
 * touches the level; lists never touch the level; what is already so leaves no trace.
 */
export function fold(before: ProfileState, change: ProfileChange, context: RuleContext): Folded {
  const { now } = context
  const state: ProfileState = { ...before }
  const folded: Folded = { state, ledger: [], signals: [], levelOutcome: null, joined: [], left: [] }
  const note = (subject: string, from: string | null, to: string | null, event: LedgerEvent, about?: string) => {
    const at = change.act.decidedAt ?? now
    const addressHmac = context.addressHmac()
    const entry = { profileId: state.id, addressHmac, at, recordedAt: now, subject, from, to, event, act: change.act }
    folded.ledger.push(about === undefined ? entry : { ...entry, note: about })
  }
  const signal = (type: NewSignal['type'], key: string, payload: JsonObject) => {
    folded.signals.push(signalOf(state.id, type, key, payload, change.act, now))
  }

  if (change.vars) state.vars = mergeVars(state.vars, change.vars)
  if (change.sms) foldSms(change.sms)
  if (change.pixelConsent !== undefined && change.pixelConsent !== state.pixelConsent) {
    note('pixel', state.pixelConsent, change.pixelConsent, change.pixelConsent === 'opt-in' ? 'opted_in' : 'opted_out')
    state.pixelConsent = change.pixelConsent
  }
  if (change.login) state.loginAt = change.login.at

  if (change.complaint) {
    if (!state.complainedAt) note('complaint', null, 'complained', 'complained')
    state.complainedAt ??= now
    foldLevel({ to: 'basic', mode: 'tighten' })
  }
  if (change.level) folded.levelOutcome = foldLevel(change.level)
  if (change.lists) foldLists(change.lists)
  if (change.templates) foldTemplates(change.templates)
  return folded

  function foldLevel(wanted: NonNullable<ProfileChange['level']>): LevelOutcome {
    const at = wanted.refusedAt ?? now
    // Level `none` with a date was reached by opting in: whoever did so later has changed their mind.
    if (wanted.refusedAt && state.level === 'none' && state.levelAt && state.levelAt > at) return 'superseded'
    const refuses = wanted.to !== 'none' && HUMAN.has(change.act.via)
    if (refuses && !(state.refusedAt && state.refusedAt > at)) state.refusedAt = at
    const to = aimOf(state.level, wanted)
    if (to === state.level) return 'noop'
    if (isWeaker(to, state.level)) {
      const refusal = before.refusedAt
      if (wanted.unlessRefusedAfter && refusal && refusal > wanted.unlessRefusedAfter) {
        note('level', state.level, state.level, 'skipped', `superseded: ${to} asked for`)
        return 'superseded'
      }
      if (!mayLoosen(before, change.act, context.settings)) {
        note('level', state.level, state.level, 'requested', `needs confirmation: ${to} asked for`)
        return 'needs_confirmation'
      }
    }
    note('level', state.level, to, isWeaker(to, state.level) ? 'opted_in' : 'opted_out')
    signal('optout_changed', '', {
      from: state.level,
      to,
      via: change.act.via,
      ...(change.act.reason === undefined ? {} : { reason: change.act.reason }),
      ...(change.act.messageId === undefined ? {} : { messageId: change.act.messageId }),
    })
    if (state.level === 'none') state.optoutAt = at
    state.level = to
    state.levelAt = at
    state.levelVia = change.act.via
    return 'applied'
  }

  function foldSms(sms: NonNullable<ProfileChange['sms']>): void {
    for (const channel of ['marketing', 'transactional'] as const) {
      const [from, to] = [state.sms[channel] ?? null, sms[channel] ?? null]
      if (!(channel in sms) || from === to) continue
      note(`sms:${channel}`, from, to, to === 'opt-out' ? 'opted_out' : 'opted_in')
    }
    state.sms = { ...state.sms, ...sms }
  }

  function foldLists(lists: ReadonlyMap<number, boolean>): void {
    const source = change.act.listSource ?? 'user_api'
    const members = new Map(state.lists)
    for (const [list, join] of lists) {
      const name = context.listName(list)
      const wasMember = members.has(list)
      if (join && !wasMember) {
        members.set(list, now)
        state.signupAt ??= now
        folded.joined.push(list)
        note(`list:${list}`, null, 'member', 'joined')
      } else if (!join && wasMember) {
        members.delete(list)
        folded.left.push(list)
        note(`list:${list}`, 'member', null, 'left')
        signal('list_removed', String(list), { list, name })
      }
      // Opting out leaves memberships alone, so a person who comes back is usually a member already.
      const returns = wasMember && before.level !== 'none' && (PERSON_ORIGINATED.has(source) || source === 'user_api')
      if (join && (!wasMember || returns)) {
        signal('list_joined', String(list), { list, name, wasMember, levelBefore: before.level })
      }
    }
    state.lists = members
  }

  function foldTemplates(templates: NonNullable<ProfileChange['templates']>): void {
    const out = new Set(state.templateOptouts)
    for (const [template, wish] of templates) {
      if (wish.out === out.has(template)) continue
      if (wish.out) out.add(template)
      else out.delete(template)
      note(
        `template:${template}`,
        wish.out ? 'in' : 'out',
        wish.out ? 'out' : 'in',
        wish.out ? 'opted_out' : 'opted_in',
      )
      signal('template_optout', String(template), {
        templateId: template,
        name: wish.name,
        out: wish.out,
        via: change.act.via,
        ...(change.act.messageId === undefined ? {} : { messageId: change.act.messageId }),
      })
      if (wish.out && HUMAN.has(change.act.via)) state.refusedAt = now
    }
    state.templateOptouts = out
  }
}

function aimOf(current: Level, { to, mode }: NonNullable<ProfileChange['level']>): Level {
  if (mode === 'tighten') return stricter(current, to)
  if (mode === 'loosen') return isWeaker(to, current) ? to : current
  return to
}

function mergeVars(vars: JsonObject, change: NonNullable<ProfileChange['vars']>): JsonObject {
  const merged = new Map(Object.entries(vars))
  for (const [name, value] of Object.entries(change)) {
    if (value === null) merged.delete(name)
    else merged.set(name, value)
  }
  return Object.fromEntries(merged)
}

/** A signal as an act causes it: what a flow does inherits the flow's cause, anything else begins a new chain. */
export function signalOf(
  profileId: number,
  type: NewSignal['type'],
  key: string,
  payload: JsonObject,
  act: Act,
  now: Date,
): NewSignal {
  const source = act.listSource ?? act.via
  const cause = act.cause ?? null
  return { profileId, type, key, payload, source, evidence: act.evidence, cause, occurredAt: now }
}
