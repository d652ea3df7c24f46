import { Type } from 'typebox'
import { formatRfc2822 } from '../../platform/time-text.ts'
import { parseAddress } from '../../profiles/address.ts'
import type { RefusedCopy } from '../../sends/copies.ts'
import { type Refused, rehearse } from '../../sends/rehearse.ts'
import type { SendRequest } from '../../sends/sends.ts'
import type { Answer } from '../answer.ts'
import { required, text } from '../coerce.ts'
import type { Context, Endpoint, Operation } from '../endpoints.ts'
import {
  ApiError,
  alreadySent,
  copyOfConfirmation,
  invalidEmail,
  keyConflict,
  type RefusalCode,
  refusedRecipient,
  sendLimitReached,
  templateDisabled,
  unknownSend,
  unknownTemplate,
  unverifiedSender,
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
import { showSend } from '../send-view.ts'
import { isVerifiedSender } from '../verified-senders.ts'
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
      headers: Type.Optional(
        anyMap(
          '`Cc`, `Bcc`, `X-…`, `List-Unsubscribe…`. Each copy is decided like a recipient; the answer names those that ' +
            'are left out in `refused_copies`, with `code` and `errormsg`',
        ),
      ),
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
  data_feed_url: Type.Optional(Type.String({ description: 'A feed for this message; kept, and not fetched yet' })),
  send_id: Type.Optional(Type.String({ description: 'Change this scheduled message instead of sending one' })),
  consent: Type.Optional(consentSchema),
})

type Parts = Pick<
  ApiParts,
  'config' | 'db' | 'clock' | 'links' | 'sends' | 'settings' | 'templates' | 'profiles' | 'refusals'
>

/** `send`: triggered messages. */
export function sendEndpoint(parts: Parts): Endpoint & { post: Operation } {
  const { config, sends, settings, templates } = parts
  return {
    get: {
      summary: 'Show what became of a message',
      params: Type.Object({ send_id: sendId }),
      async handle(_, params) {
        const id = required(text(params, 'send_id'), 'send_id')
        const record = await sends.get(id)
        if (!record) throw unknownSend(id)
        const { timezone } = await settings.get()
        return showSend(parts, id, record, timezone)
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
    const times = createTimes()
    const scheduledFor = times.read(() => readSchedule(params, context.now, zone)) ?? undefined
    const limit = times.read(() => readLimit(params, context.now, zone))
    const request: SendRequest = {
      template,
      emails,
      vars: readVars(params) ?? {},
      evars: readRecipientVars(params, emails),
      options: readOptions(params) ?? {},
      scheduledFor,
      limit,
      origin: 'api',
      act: times.read(() => readAct(context, params, zone)) ?? { via: 'api', evidence: 0, actor: context.apiKey.key },
    }
    const fault = times.fault() ?? (await unverified(template))
    if (fault) throw (await refusedFirst(request)) ?? fault
    const outcome = await sends.send(request)
    if (!outcome.ok) throw unknownTemplate(template)
    const sent = outcome.sends
    const explain = (one: Refused) => refusal(one, request)
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
        ...showRefused(only.refusedCopies ?? []),
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
      ...showRefused(accepted.flatMap(({ refusedCopies = [] }) => refusedCopies)),
    }
  }

  /** The sender that the operator did not verify. Only looked for where the operator named some. */
  async function unverified(name: string): Promise<ApiError | null> {
    const current = await settings.get()
    if (current.verified_senders === '') return null
    const sender = (await templates.byName(name))?.fields.from_email ?? ''
    return isVerifiedSender(sender, { settings: current, from: config.from }) ? null : unverifiedSender(sender)
  }

  /** What the call would be refused for apart from a fault of lower rank; null when it would go to anybody. */
  async function refusedFirst(request: SendRequest): Promise<ApiError | null> {
    const rehearsal = await rehearse(parts, request)
    if (!rehearsal.ok) return unknownTemplate(request.template)
    const [first] = rehearsal.refusals
    return first && rehearsal.refusals.every((refused) => refused !== null) ? refusal(first, request) : null
  }

  async function change(id: string, context: Context, params: Params, zone: string): Promise<Answer> {
    const outcome = await sends.update(id, {
      vars: readVars(params),
      options: readOptions(params) ?? undefined,
      scheduledFor: readSchedule(params, context.now, zone) ?? undefined,
    })
    if (outcome.ok) {
      return { ...showSend(parts, id, outcome.record, zone), ...showRefused(outcome.refusedCopies) }
    }
    throw outcome.reason === 'unknown' ? unknownSend(id) : alreadySent(id)
  }
}

/** Reads times and keeps the first that nobody understands: whoever may not be written to is named before it. */
function createTimes(): { read<T>(reader: () => T): T | undefined; fault(): ApiError | null } {
  let fault: ApiError | null = null
  return {
    read(reader) {
      try {
        return reader()
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 18) throw error
        fault ??= error
        return undefined
      }
    },
    fault: () => fault,
  }
}

/** Copies that were left out; nothing where there are none. */
function showRefused(copies: readonly RefusedCopy[]): Answer {
  if (copies.length === 0) return {}
  const explained = copies.map(({ address, code, reason }) => {
    const { message } =
      reason === 'confirmation'
        ? copyOfConfirmation(address)
        : reason === 'invalid_email'
          ? invalidEmail(address)
          : refusedRecipient(code as RefusalCode, address)
    return [address, { code, errormsg: message }] as const
  })
  return { refused_copies: Object.fromEntries(explained) }
}

function refusal({ code, reason, email }: Refused, { template, limit }: SendRequest): ApiError {
  if (reason === 'invalid_email') return invalidEmail(email)
  if (reason === 'template_disabled') return templateDisabled(template)
  if (reason === 'limit') return sendLimitReached(limit?.name ?? '')
  if (reason === 'key_conflict') return keyConflict('email')
  return refusedRecipient(code as RefusalCode, email)
}
