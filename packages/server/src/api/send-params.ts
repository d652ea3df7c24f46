import { parseMailboxes } from '../delivery/mime/address.ts'
import type { JsonObject } from '../platform/json.ts'
import { parseTimeText } from '../platform/time-text.ts'
import { parseAddress } from '../profiles/address.ts'
import type { SendLimit } from '../sends/limit.ts'
import type { SendOptions } from '../sends/message-table.ts'
import { bool01, commaList, map, required, text, time } from './coerce.ts'
import { ApiError, invalidEmail, invalidTime, invalidValue, tooLarge } from './errors.ts'
import { isMap, type Params } from './parameters.ts'
import { choice, headerText, MOST_VARS, nameText, oneLine } from './person-params.ts'

/** Readers for what a send takes besides the person: recipients, their vars, headers, time and frequency guard. */

/** Addresses in one call. */
export const MOST_RECIPIENTS = 100

/** Recipients: a text with commas or an array; each mailbox once, as first spelled. */
export function readRecipients(params: Params): string[] {
  const given = required(commaList(params, 'email'), 'email')
  const byMailbox = new Map<string, string>()
  for (const email of given) {
    const mailbox = parseAddress(email)?.lookup ?? email
    if (!byMailbox.has(mailbox)) byMailbox.set(mailbox, email)
  }
  const emails = [...byMailbox.values()]
  if (emails.length === 0) required(null, 'email')
  if (emails.length > MOST_RECIPIENTS) throw invalidValue('email', `at most ${MOST_RECIPIENTS} addresses`)
  return emails
}

/** Vars by recipient, under the recipient's spelling in this call. */
export function readRecipientVars(params: Params, emails: readonly string[]): { [email: string]: JsonObject } {
  const given = map(params, 'evars')
  if (given === null) return {}
  if (JSON.stringify(given).length > MOST_VARS) throw tooLarge('Parameter evars', MOST_VARS)
  const spelled = new Map(emails.map((email) => [email.toLowerCase(), email]))
  const vars: { [email: string]: JsonObject } = {}
  for (const email of Object.keys(given)) {
    const own = map(given, email, `evars[${email}]`)
    const recipient = spelled.get(email.trim().toLowerCase())
    if (own && recipient !== undefined) vars[recipient] = own as JsonObject
  }
  return vars
}

/**
 * When to send: a time, or a window `{start_time, end_time}` whose beginning is taken. Null for now, and for the past.
 */
export function readSchedule(params: Params, now: Date, zone: string): Date | null {
  const { schedule_time: given } = params
  if (!isMap(given)) return inFuture(time(params, 'schedule_time', now, zone), now)
  const label = (name: string) => `schedule_time[${name}]`
  choice(given, 'method', ['email'], label('method'))
  const start = time(given, 'start_time', now, zone, label('start_time')) ?? now
  const end = time(given, 'end_time', now, zone, label('end_time'))
  if (end && end < start) throw new ApiError(18, `Invalid time: ${label('end_time')} lies before the start`)
  return inFuture(start, now)
}

const inFuture = (at: Date | null, now: Date) => (at !== null && at > now ? at : null)

/**
 * `options`, with `data_feed_url` beside them; null when nothing is given. What ends in a header must be one line, and
 * addresses must be addresses.
 */
export function readOptions(params: Params): SendOptions | null {
  const given = map(params, 'options')
  const feed = headerText(params, 'data_feed_url')
  if (given === null && !feed) return null
  const options = given === null ? {} : readGivenOptions(given)
  if (!feed) return options
  if (!URL.canParse(feed) || feed.length > LONGEST_HEADER) throw invalidValue('data_feed_url', 'a URL')
  return { ...options, data_feed_url: feed }
}

function readGivenOptions(given: Params): SendOptions {
  const options: SendOptions = {}
  const replyto = headerText(given, 'replyto', 'options[replyto]')
  if (replyto) options.replyto = mailboxes(replyto)
  const behalf = headerText(given, 'behalf_email', 'options[behalf_email]')
  if (behalf) options.behalf_email = mailboxes(behalf)
  if (bool01(given, 'test', 'options[test]')) options.test = true
  const headers = map(given, 'headers', 'options[headers]')
  if (headers && Object.keys(headers).length > 0) options.headers = readHeaders(headers)
  return options
}

const HEADERS = /^(?:cc|bcc|x-[a-z0-9-]+|list-unsubscribe(?:-[a-z0-9-]+)?)$/i
const MOST_HEADERS = 20
const LONGEST_HEADER = 2_000

function readHeaders(given: Params): { [name: string]: string } {
  const names = Object.keys(given)
  if (names.length > MOST_HEADERS) throw invalidValue('options[headers]', `at most ${MOST_HEADERS} headers`)
  const headers: { [name: string]: string } = {}
  for (const name of names) {
    const label = `options[headers][${name}]`
    if (!HEADERS.test(name)) throw invalidValue(label, 'one of Cc, Bcc, X-… and List-Unsubscribe…')
    if (Object.keys(headers).some((other) => other.toLowerCase() === name.toLowerCase())) {
      throw invalidValue(label, 'given once')
    }
    const value = oneLine(text(given, name, label) ?? '', label)
    if (value.length > LONGEST_HEADER) throw invalidValue(label, `at most ${LONGEST_HEADER} characters`)
    if (value !== '') headers[name] = /^b?cc$/i.test(name) ? mailboxes(value) : value
  }
  return headers
}

/** Checks `Ada <ada@example.com>, bob@example.com` and hands it back. */
function mailboxes(value: string): string {
  const named = parseMailboxes(value)
  if (named.length === 0) throw invalidEmail(value)
  for (const { address } of named) if (!parseAddress(address)) throw invalidEmail(address.trim())
  return value
}

/** `limit`: at most one message of this template under this name within the span. */
export function readLimit(params: Params, now: Date, zone: string): SendLimit | undefined {
  const given = map(params, 'limit')
  if (given === null || Object.keys(given).length === 0) return undefined
  const label = (name: string) => `limit[${name}]`
  const span = required(text(given, 'within_time', label('within_time')), label('within_time'))
  const until = parseTimeText(span, now, zone)
  if (until === null || until <= now) throw invalidTime(label('within_time'), span)
  return {
    name: required(nameText(given, 'name', label('name')), label('name')),
    within: until.getTime() - now.getTime(),
    conflict: choice(given, 'conflict', ['fail', 'update'], label('conflict')) ?? 'fail',
  }
}
