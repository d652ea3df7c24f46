import { Type } from 'typebox'
import type { Repeat, RepeatDraft } from '../../campaigns/repeats.ts'
import { CRITERIA, type RepeatPlan, type RepeatRule } from '../../campaigns/tables.ts'
import { formatRfc2822, parseTimeText } from '../../platform/time-text.ts'
import type { Answer } from '../answer.ts'
import { addresses, isId, minutesIn, readLists, readRetarget } from '../blast-params.ts'
import { namesOf } from '../blast-view.ts'
import { array, bool01, commaList, integer, required, text, time } from '../coerce.ts'
import type { Endpoint } from '../endpoints.ts'
import { invalidValue, missingParameter, unknownRepeat, unknownTemplate } from '../errors.ts'
import type { Params } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import { choice, headerText, nameText } from '../person-params.ts'
import { flag, nameOf, timeText } from './schemas.ts'

const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const
/** Hours before its time at which a campaign may be made. */
const MOST_AHEAD = 24 * 7

const EMPTY_PLAN: RepeatPlan = {
  reportEmail: '',
  seedEmails: [],
  previousId: null,
  criterion: null,
  dataFeedUrl: '',
  isStatic: false,
}

type Parts = Pick<ApiParts, 'campaigns' | 'clock' | 'lists' | 'repeats' | 'settings' | 'templates'>

/** `blast_repeat`: campaigns that are made again and again from a template. */
export function blastRepeatEndpoint({ campaigns, lists, repeats, settings, templates }: Parts): Endpoint {
  return {
    get: {
      summary: 'Show one repeat, or all of them',
      params: Type.Object({ repeat_id: Type.Optional(Type.Integer()) }),
      async handle(_, params) {
        const id = integer(params, 'repeat_id')
        if (id !== null) return show(await known(id))
        return { repeats: await Promise.all((await repeats.all()).map(show)) }
      },
    },

    post: {
      summary: 'Create or change a repeat',
      params: Type.Object({
        repeat_id: Type.Optional(Type.Integer({ description: 'Change this one' })),
        name: nameOf('the campaigns'),
        list: nameOf('the list'),
        template: nameOf('the template whose content each campaign copies when it is made'),
        send_time: Type.String({ description: 'Time of day on the account’s clocks, as in `9:00 am`' }),
        days: Type.Optional(Type.Array(Type.String(), { description: 'Weekdays by name' })),
        days_month: Type.Optional(Type.Array(Type.Integer(), { description: 'Days of the month, 1 to 31' })),
        generate_time: Type.Optional(
          Type.Integer({ description: 'Hours before its time at which a campaign is made' }),
        ),
        start_date: Type.Optional(timeText('First day')),
        end_date: Type.Optional(timeText('Last day')),
        suppress_list: Type.Optional(Type.String({ description: 'Names of lists with commas' })),
        seed_emails: Type.Optional(Type.Array(Type.String())),
        report_email: Type.Optional(Type.String({ description: 'Kept, and not written to yet' })),
        data_feed_url: Type.Optional(Type.String({ description: 'Kept, and not fetched yet' })),
        is_static: Type.Optional(flag('Kept')),
        status: Type.Optional(Type.Enum(['active', 'inactive'])),
        previous_blast_id: Type.Optional(Type.Integer()),
        message_criteria: Type.Optional(Type.Enum([...CRITERIA])),
      }),
      async handle({ apiKey, now }, params) {
        const id = integer(params, 'repeat_id')
        const before = id === null ? null : await known(id)
        const draft = await readDraft(params, before, now)
        const saved = await repeats.save(id, draft, apiKey.key)
        if (!saved) throw unknownRepeat(id ?? 0)
        return show(saved)
      },
    },

    delete: {
      summary: 'Delete a repeat; the campaigns that it made stay',
      params: Type.Object({ repeat_id: Type.Integer() }),
      async handle(_, params) {
        const id = required(integer(params, 'repeat_id'), 'repeat_id')
        if (!isId(id) || !(await repeats.remove(id))) throw unknownRepeat(id)
        return { repeat_id: id, ok: true }
      },
    },
  }

  async function known(id: number): Promise<Repeat> {
    const repeat = isId(id) ? await repeats.get(id) : null
    if (!repeat) throw unknownRepeat(id)
    return repeat
  }

  async function readDraft(params: Params, before: Repeat | null, now: Date): Promise<RepeatDraft> {
    const { timezone } = await settings.get()
    const template = nameText(params, 'template')
    const found = template ? await templates.byName(template) : null
    if (template && !found) throw unknownTemplate(template)
    const retarget = await readRetarget(params, async (id) => isId(id) && (await campaigns.get(id)) !== null)
    const seeds = commaList(params, 'seed_emails')
    const plan = before?.plan ?? EMPTY_PLAN
    return {
      name: required(nameText(params, 'name')?.trim() || (before?.name ?? null), 'name'),
      status: choice(params, 'status', ['active', 'inactive']) ?? before?.status ?? 'active',
      templateId: required(found?.id ?? before?.templateId ?? null, 'template'),
      listIds: required((await readLists(params, 'list', lists)) ?? before?.listIds ?? null, 'list'),
      suppressIds: (await readLists(params, 'suppress_list', lists)) ?? before?.suppressIds ?? [],
      rule: readRule(params, before?.rule ?? null, now, timezone),
      plan: {
        ...plan,
        ...retarget,
        reportEmail: headerText(params, 'report_email') ?? plan.reportEmail,
        seedEmails: seeds ? addresses(seeds) : plan.seedEmails,
        dataFeedUrl: headerText(params, 'data_feed_url') ?? plan.dataFeedUrl,
        isStatic: bool01(params, 'is_static') ?? plan.isStatic,
      },
    }
  }

  async function show(repeat: Repeat): Promise<Answer> {
    const { timezone } = await settings.get()
    const { rule, plan } = repeat
    const at = (moment: Date | string | null) => moment && formatRfc2822(new Date(moment), timezone)
    const [names, made] = await Promise.all([
      lists.byIds([...repeat.listIds, ...repeat.suppressIds]),
      templates.byIds([repeat.templateId]),
    ])
    return {
      repeat_id: repeat.id,
      name: repeat.name,
      status: repeat.status,
      list: namesOf(repeat.listIds, names),
      suppress_list: namesOf(repeat.suppressIds, names),
      template: made.get(repeat.templateId)?.name ?? null,
      send_time: clockText(rule.sendTime),
      days: rule.days.map((day) => WEEKDAYS[day - 1]),
      days_month: rule.monthDays,
      generate_time: rule.generateHours,
      start_date: at(rule.startsAt),
      end_date: at(rule.endsAt),
      next_time: at(repeat.nextAt),
      report_email: plan.reportEmail,
      seed_emails: plan.seedEmails,
      data_feed_url: plan.dataFeedUrl,
      is_static: plan.isStatic,
      previous_blast_id: plan.previousId,
      message_criteria: plan.criterion,
      create_time: at(repeat.createdAt),
      create_user: repeat.createdBy,
      modify_time: at(repeat.modifiedAt),
      modify_user: repeat.modifiedBy,
      errors: repeat.problem,
      error_time: at(repeat.problemAt),
    }
  }
}

function readRule(params: Params, before: RepeatRule | null, now: Date, zone: string): RepeatRule {
  const sendTime = text(params, 'send_time')
  const days = array(params, 'days')?.map(weekday)
  const monthDays = array(params, 'days_month')?.map(monthDay)
  const rule: RepeatRule = {
    days: unique(days ?? (monthDays ? [] : before?.days) ?? []),
    monthDays: unique(monthDays ?? (days ? [] : before?.monthDays) ?? []),
    sendTime: sendTime ? minutesIn(sendTime, 'send_time') : required(before?.sendTime ?? null, 'send_time'),
    generateHours: integer(params, 'generate_time') ?? before?.generateHours ?? 0,
    startsAt: dayText(params, 'start_date', now, zone, before?.startsAt),
    endsAt: endOfDay(params, now, zone, before?.endsAt),
  }
  if (rule.days.length === 0 && rule.monthDays.length === 0) throw missingParameter('days')
  if (rule.generateHours < 0 || rule.generateHours > MOST_AHEAD) {
    throw invalidValue('generate_time', `0 to ${MOST_AHEAD} hours`)
  }
  return rule
}

const unique = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b)

/** `Monday`, `mon` → 1. */
function weekday(value: unknown): number {
  const word = String(value).trim().toLowerCase()
  const index = WEEKDAYS.findIndex((day) => word.length >= 3 && day.toLowerCase().startsWith(word))
  if (index === -1) throw invalidValue('days', 'names of weekdays')
  return index + 1
}

function monthDay(value: unknown): number {
  const day = /^\s*\d{1,2}\s*$/.test(String(value)) ? Number(value) : 0
  if (day < 1 || day > 31) throw invalidValue('days_month', 'numbers from 1 to 31')
  return day
}

function clockText(minutes: number): string {
  const hour = Math.floor(minutes / 60)
  const twelve = hour % 12 === 0 ? 12 : hour % 12
  return `${twelve}:${String(minutes % 60).padStart(2, '0')} ${hour < 12 ? 'am' : 'pm'}`
}

/** A moment as ISO 8601; an empty text takes it away. */
function dayText(params: Params, name: string, now: Date, zone: string, before: string | null = null): string | null {
  if (params[name] === '') return null
  return time(params, name, now, zone)?.toISOString() ?? before
}

/** A last day without a time of day counts to its end. */
function endOfDay(params: Params, now: Date, zone: string, before: string | null = null): string | null {
  const given = dayText(params, 'end_date', now, zone, before)
  if (given === null || given === before) return given
  const written = String(params.end_date)
  const isDay = !/\d:\d|[ap]m\b|@|^\d{9,}$/i.test(written)
  const next = isDay ? parseTimeText(`${written} +1 day`, now, zone) : null
  return next ? new Date(next.getTime() - 1).toISOString() : given
}
