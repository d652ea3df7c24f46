import { Type } from 'typebox'
import { formatRfc2822 } from '../../platform/time-text.ts'
import { parseAddress } from '../../profiles/address.ts'
import type { SendRecord } from '../../sends/read.ts'
import type { SentOne } from '../../sends/sends.ts'
import type { Answer } from '../answer.ts'
import { required, text } from '../coerce.ts'
import type { Context, Endpoint, Operation } from '../endpoints.ts'
import {
  type ApiError,
  alreadySent,
  invalidEmail,
  keyConflict,
  type RefusalCode,
  refusedRecipient,
  sendLimitReached,
  templateDisabled,
  unknownSend,
  unknownTemplate,
} from '../errors.ts'
import type { Params } from '../parameters.ts'
import type { ApiParts } from '../parts.ts'
import { nameText, readAct, readVars } from '../person-params.ts'
import {
  MOST_RECIPIENTS,
  readLimit,
  readOptions,
  readRecipients,
  readRecipientVars,
  readSchedule,
} from '../send-params.ts'
import { anyMap, consentSchema, flag, nameOf, timeText } from './schemas.ts'

const sendId = Type.String({ description: 'As the send answered it' })

const postParams = Type.Object({
  template: nameOf('the template'),
  email: Type.Union([Type.String(), Type.Array(Type.String())], {
    description: `The recipient, or up to ${MOST_RECIPIENTS}: an array, or one text with commas`,
  }),
  vars: Type.Optional(anyMap('Vars of this message')),
  evars: Type.Optional(
    Type.Record(Type.String(), anyMap(''), { description: 'Vars by recipient, over those for all' }),
  ),
  schedule_time: Type.Optional(
    Type.Union([timeText(''), anyMap('')], { description: 'When; or a window `{start_time, end_time}`' }),
  ),
  options: Type.Optional(
    Type.Object({
      replyto: Type.Optional(Type.String()),
      test: Type.Optional(flag()),
      behalf_email: Type.Optional(Type.String()),
      headers: Type.Optional(anyMap('`Cc`, `Bcc`, `X-…`, `List-Unsubscribe…`')),
    }),
  ),
  limit: Type.Optional(
    Type.Object(
      {
        name: Type.String(),
        within_time: Type.String(),
        conflict: Type.Optional(Type.Enum(['fail', 'update'])),
      },
      { description: 'At most one such message in a span, as in `{"name": "cart", "within_time": "+1 day"}`' },
    ),
  ),
  send_id: Type.Optional(Type.String({ description: 'Change this scheduled message instead of sending one' })),
  consent: Type.Optional(consentSchema),
})

/** `send`: triggered messages. */
export function sendEndpoint({
  sends,
  settings,
}: Pick<ApiParts, 'sends' | 'settings'>): Endpoint & { post: Operation } {
  return {
    get: {
      summary: 'Show what became of a message',
      params: Type.Object({ send_id: sendId }),
      async handle(_, params) {
        const id = required(text(params, 'send_id'), 'send_id')
        const record = await sends.get(id)
        if (!record) throw unknownSend(id)
        const { timezone } = await settings.get()
        return showSend(id, record, timezone)
      },
    },

    post: {
      summary: 'Send a template to one or more people',
      params: postParams,
      async handle(context, params) {
        const { timezone } = await settings.get()
        const id = text(params, 'send_id')
        return id ? change(id, context, params, timezone) : post(context, params, timezone)
      },
    },

    delete: {
      summary: 'Take back a scheduled message',
      params: Type.Object({ send_id: sendId }),
      async handle(_, params) {
        const id = required(text(params, 'send_id'), 'send_id')
        const outcome = await sends.cancel(id)
        if (outcome === 'unknown') throw unknownSend(id)
        if (outcome === 'too_late') throw alreadySent(id)
        return { send_id: id, ok: true }
      },
    },
  }

  async function post(context: Context, params: Params, zone: string): Promise<Answer> {
    const template = required(nameText(params, 'template'), 'template')
    const emails = readRecipients(params)
    const [first = ''] = emails
    if (!emails.some((email) => parseAddress(email))) throw invalidEmail(first)
    const scheduledFor = readSchedule(params, context.now, zone) ?? undefined
    const limit = readLimit(params, context.now, zone)
    const outcome = await sends.send({
      template,
      emails,
      vars: readVars(params) ?? {},
      evars: readRecipientVars(params, emails),
      options: readOptions(params) ?? {},
      scheduledFor,
      limit,
      origin: 'api',
      act: readAct(context, params, zone),
    })
    if (!outcome.ok) throw unknownTemplate(template)
    const sent = outcome.sends
    const explain = (one: Refused) => refusal(one, template, limit?.name ?? '')
    const [only] = sent
    if (only && (sent.length === 1 || sent.every((one) => !one.ok)) && !only.ok) throw explain(only)
    if (only?.ok && sent.length === 1) {
      return {
        send_id: only.sendId,
        email: only.email,
        template,
        status: scheduledFor ? 'scheduled' : 'unknown',
        send_key: null,
        ...(scheduledFor && { schedule_time: formatRfc2822(scheduledFor, zone) }),
      }
    }
    const accepted = sent.filter((one) => one.ok)
    const refused = sent.filter((one) => !one.ok).map((one) => [one.email, explain(one)] as const)
    return {
      sent_count: accepted.length,
      send_ids: Object.fromEntries(accepted.map((one) => [one.email, one.sendId])),
      template,
      ...(refused.length > 0 && {
        errors: Object.fromEntries(
          refused.map(([email, { code, message }]) => [email, { code, errormsg: message }] as const),
        ),
      }),
    }
  }

  async function change(id: string, context: Context, params: Params, zone: string): Promise<Answer> {
    const outcome = await sends.update(id, {
      vars: readVars(params),
      options: readOptions(params) ?? undefined,
      scheduledFor: readSchedule(params, context.now, zone) ?? undefined,
    })
    if (outcome.ok) return showSend(id, outcome.record, zone)
    throw outcome.reason === 'unknown' ? unknownSend(id) : alreadySent(id)
  }
}

type Refused = Extract<SentOne, { ok: false }>

function refusal({ code, reason, email }: Refused, template: string, limit: string): ApiError {
  if (reason === 'invalid_email') return invalidEmail(email)
  if (reason === 'template_disabled') return templateDisabled(template)
  if (reason === 'limit') return sendLimitReached(limit)
  if (reason === 'key_conflict') return keyConflict('email')
  return refusedRecipient(code as RefusalCode, email)
}

function showSend(id: string, record: SendRecord, zone: string): Answer {
  const { address, template, scheduledFor, sentAt } = record
  return {
    send_id: id,
    email: address,
    template,
    status: statusOf(record),
    send_key: null,
    ...(sentAt && { send_time: formatRfc2822(sentAt, zone) }),
    ...(scheduledFor && { schedule_time: formatRfc2822(scheduledFor, zone) }),
  }
}

/** `unknown` is the API's word for everything that is neither waiting for its time, nor arrived, nor bounced. */
function statusOf({ state, reason, scheduledFor }: SendRecord): string {
  if (reason === 'hardbounce' || reason === 'softbounce') return reason
  if (state === 'sent') return 'delivered'
  return scheduledFor && (state === 'queued' || state === 'deferred') ? 'scheduled' : 'unknown'
}
