import { mayLoosen } from '../consent/evidence.ts'
import type { LedgerEntry, LedgerEvent } from '../consent/ledger.ts'
import { isWeaker, type Level, stricter } from '../consent/levels.ts'
import type { JsonObject } from '../platform/json.ts'
import type { Settings } from '../settings/settings.ts'
import type { NewSignal } from '../signals/emit.ts'
import {
  isHuman,
  type LevelOutcome,
  type ListSource,
  type ProfileChange,
  type ProfileState,
  type Refusal,
  type RefusedSubject,
} from './change.ts'
import { isNewer, mayRejoin, sourceOf } from './newest.ts'
import { leftAs, REFUSED } from './wishes.ts'

/** What a change made of a profile. `state` is a new value; the one passed in is untouched. */
export interface Folded {
  state: ProfileState
  ledger: LedgerEntry[]
  signals: NewSignal[]
  levelOutcome: LevelOutcome | null
  joined: number[]
  left: number[]
  templates: Map<number, boolean>
  /** Ids of lists and templates that stay left although the change asked for them. */
  stayed: { lists: number[]; templates: number[] }
}

export interface RuleContext {
  now: Date
  settings: Settings
  /** Number of what this change refuses: higher than that of anything decided about the person before. */
  number: number
  /** Keyed hash of the person's address, for the ledger. */
  addressHmac: () => Buffer | null
  /** Names of the lists the change speaks of. */
  listName(id: number): string
}

const PERSON_ORIGINATED: ReadonlySet<ListSource> = new Set(['hosted_page', 'site_form', 'confirm_link', 'link_param'])

/**
 * The rule for everything but keys, merging and erasing: a profile and a change in, the changed profile, what the
 * ledger says of it and the signals for others out. The invariants of consent live here and nowhere else. An opt-out
 * becomes weaker only by sufficient proof (`mayLoosen`). The newest refusal of a level, list, template, of tracking or
 * text messages stands against every permission that was given before it (profiles/newest.ts). Deliverability never
 * touches the level, and lists never touch the level. What is already so leaves no trace.
 */
export function fold(before: ProfileState, change: ProfileChange, context: RuleContext): Folded {
  const { now, number } = context
  const { act } = change
  const refuses = isHuman(act)
  const state: ProfileState = { ...before }
  const folded: Folded = {
    state,
    ledger: [],
    signals: [],
    levelOutcome: null,
    joined: [],
    left: [],
    templates: new Map(),
    stayed: { lists: [], templates: [] },
  }

  if (change.vars) state.vars = mergeVars(state.vars, change.vars)
  if (change.sms) foldSms(change.sms)
  if (change.pixelConsent !== undefined) foldPixel(change.pixelConsent)
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

  function note(subject: string, from: string | null, to: string | null, event: LedgerEvent, about?: string): void {
    const at = act.decidedAt ?? now
    const addressHmac = context.addressHmac()
    const entry = { profileId: state.id, addressHmac, at, recordedAt: now, subject, from, to, event, act }
    folded.ledger.push(about === undefined ? entry : { ...entry, note: about })
  }

  function signal(type: NewSignal['type'], key: string, payload: JsonObject): void {
    // What a flow does later rests on what was known when the person decided, this very change not included.
    folded.signals.push(signalOf(before, type, key, payload, change, now))
  }

  /** A human being refuses something: it counts from now on against everything decided before. */
  function refused(): Refusal {
    if (refuses) state.decided = number
    return { at: now, via: act.via, number: refuses ? number : 0 }
  }

  function refuse(subject: RefusedSubject): void {
    if (!refuses) return
    refused()
    state.refusals = { ...state.refusals, [subject]: number }
  }

  function foldLevel(wanted: NonNullable<ProfileChange['level']>): LevelOutcome {
    if (wanted.to !== 'none' && refuses) {
      refuse('level')
      state.refusedAt = now
    }
    const to = aimOf(state.level, wanted)
    if (to === state.level) return 'noop'
    if (isWeaker(to, state.level)) {
      if (isNewer({ number: before.refusals.level ?? 0, at: before.refusedAt }, change)) {
        note('level', state.level, state.level, 'skipped', `superseded: ${to} asked for`)
        return 'superseded'
      }
      if (!mayLoosen(before, act, context.settings)) {
        note('level', state.level, state.level, 'requested', `needs confirmation: ${to} asked for`)
        return 'needs_confirmation'
      }
    }
    note('level', state.level, to, isWeaker(to, state.level) ? 'opted_in' : 'opted_out')
    signal('optout_changed', '', {
      from: state.level,
      to,
      via: act.via,
      ...(act.reason === undefined ? {} : { reason: act.reason }),
      ...(act.messageId === undefined ? {} : { messageId: act.messageId }),
    })
    if (state.level === 'none') state.optoutAt = now
    state.level = to
    state.levelAt = now
    state.levelVia = act.via
    return 'applied'
  }

  function foldPixel(to: NonNullable<ProfileChange['pixelConsent']> | null): void {
    const from = state.pixelConsent
    if (to === REFUSED) refuse('pixel')
    if (to === from) return
    if (from === REFUSED && isNewer({ number: before.refusals.pixel ?? 0, at: null }, change)) {
      note('pixel', from, from, 'skipped', `superseded: ${to ?? 'nothing'} asked for`)
      return
    }
    note('pixel', from, to, to === 'opt-in' ? 'opted_in' : 'opted_out')
    state.pixelConsent = to
  }

  function foldSms(sms: NonNullable<ProfileChange['sms']>): void {
    for (const channel of ['marketing', 'transactional'] as const) {
      if (!(channel in sms)) continue
      const [from, to] = [state.sms[channel] ?? null, sms[channel] ?? null]
      const subject = `sms:${channel}` as const
      if (to === REFUSED) refuse(subject)
      if (from === to) continue
      if (from === REFUSED && isNewer({ number: before.refusals[subject] ?? 0, at: null }, change)) {
        note(subject, from, from, 'skipped', `superseded: ${to ?? 'nothing'} asked for`)
        continue
      }
      note(subject, from, to, to === REFUSED ? 'opted_out' : 'opted_in')
      state.sms = { ...state.sms, [channel]: to ?? undefined }
    }
  }

  function foldLists(lists: ReadonlyMap<number, boolean>): void {
    const source = sourceOf(act)
    const members = new Map(state.lists)
    const left = new Map(state.listsLeft)
    for (const [list, join] of lists) {
      const name = context.listName(list)
      const wasMember = members.has(list)
      if (!join) {
        // Leaving once more is a refusal too; not coming onto a list that one never was on is none.
        if (refuses && (wasMember || left.has(name))) left.set(name, refused())
        if (!wasMember) continue
        members.delete(list)
        folded.left.push(list)
        note(`list:${list}`, 'member', null, 'left')
        signal('list_removed', String(list), { list, name })
        continue
      }
      const leaving = left.get(name)
      if (leaving && !mayRejoin(leaving, change)) {
        folded.stayed.lists.push(list)
        note(`list:${list}`, null, null, 'skipped', `left before: joining by ${source} refused`)
        continue
      }
      left.delete(name)
      if (!wasMember) {
        members.set(list, now)
        state.signupAt ??= now
        folded.joined.push(list)
        note(`list:${list}`, null, 'member', 'joined')
      }
      // Opting out leaves memberships alone, so a person who comes back is usually a member already.
      const returns = wasMember && before.level !== 'none' && (PERSON_ORIGINATED.has(source) || source === 'user_api')
      if (!wasMember || returns) {
        signal('list_joined', String(list), { list, name, wasMember, levelBefore: before.level })
      }
    }
    state.lists = members
    state.listsLeft = left
  }

  function foldTemplates(templates: NonNullable<ProfileChange['templates']>): void {
    const out = new Map(state.templateOptouts)
    for (const [template, wish] of templates) {
      const known = leftAs(out, template, wish.name)
      if (wish.out) {
        const optout = { ...refused(), name: wish.name }
        if (refuses) for (const [id, { name }] of known) out.set(id, { ...optout, name })
        if (known.length > 0) continue
        out.set(template, optout)
      } else {
        if (known.length === 0) continue
        if (known.some(([, optout]) => isNewer(optout, change))) {
          folded.stayed.templates.push(template)
          note(`template:${template}`, 'out', 'out', 'skipped', 'superseded: in asked for')
          continue
        }
        for (const [id] of known) out.delete(id)
      }
      folded.templates.set(template, wish.out)
      const [from, to] = wish.out ? ['in', 'out'] : ['out', 'in']
      note(`template:${template}`, from, to, wish.out ? 'opted_out' : 'opted_in')
      signal('template_optout', String(template), {
        templateId: template,
        name: wish.name,
        out: wish.out,
        via: act.via,
        ...(act.messageId === undefined ? {} : { messageId: act.messageId }),
      })
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

/**
 * A signal as a change causes it: what a flow does inherits the flow's cause, anything else begins a new chain.
 *
 * @param before the person before the change
 */
export function signalOf(
  before: Pick<ProfileState, 'id' | 'decided'>,
  type: NewSignal['type'],
  key: string,
  payload: JsonObject,
  { act, asOf }: Pick<ProfileChange, 'act' | 'asOf'>,
  now: Date,
): NewSignal {
  return {
    profileId: before.id,
    type,
    key,
    payload,
    source: act.listSource ?? act.via,
    evidence: act.evidence,
    cause: act.cause ?? null,
    asOf: asOf ?? before.decided,
    occurredAt: now,
  }
}

/** Whether a change refuses anything, so that it needs a number. */
export function mayRefuse({ act, level, complaint, lists, templates, sms, pixelConsent }: ProfileChange): boolean {
  if (!isHuman(act)) return false
  return (
    complaint === true ||
    (level !== undefined && level.to !== 'none') ||
    pixelConsent === REFUSED ||
    sms?.marketing === REFUSED ||
    sms?.transactional === REFUSED ||
    [...(lists?.values() ?? [])].includes(false) ||
    [...(templates?.values() ?? [])].some(({ out }) => out)
  )
}
