/**
 * The error catalogue of the Sailthru-compatible API: the one place that knows which code travels under which HTTP
 * status and in which words. Applications test the code, so a code never changes its meaning.
 */

/** Code → HTTP status and what it tells the caller. `errormsg` texts come from the constructors below. */
export const catalogue = {
  1: { status: 405, meaning: 'The endpoint does not know this method' },
  2: { status: 400, meaning: 'A required parameter is missing' },
  3: { status: 401, meaning: 'Unknown API key' },
  4: { status: 403, meaning: 'Calls from this source address are not allowed' },
  5: { status: 401, meaning: 'The signature is wrong' },
  6: { status: 400, meaning: 'Invalid UTF-8 in a field (older twin of 42, never sent)' },
  9: { status: 500, meaning: 'Internal error: probably not saved, try again later' },
  11: { status: 400, meaning: 'Not an email address' },
  12: { status: 404, meaning: 'No such send' },
  13: { status: 404, meaning: 'No such campaign' },
  14: { status: 404, meaning: 'No such template' },
  15: { status: 404, meaning: 'No such list' },
  18: { status: 400, meaning: 'The time was not understood' },
  21: { status: 403, meaning: 'The account may not send email yet' },
  22: { status: 403, meaning: 'The feature is not part of the plan' },
  31: { status: 403, meaning: "The address is on the operator's block list" },
  32: { status: 403, meaning: 'The person opted out of all email' },
  33: { status: 403, meaning: 'The person opted out of this template' },
  34: { status: 403, meaning: 'The address must never be mailed' },
  35: { status: 403, meaning: 'The address hard-bounced earlier' },
  36: { status: 400, meaning: 'The sender address is not verified' },
  37: { status: 403, meaning: 'The person accepts transactional templates only' },
  41: { status: 403, meaning: 'Too late to cancel: already sent' },
  42: { status: 400, meaning: 'Invalid UTF-8 in a field' },
  43: { status: 429, meaning: 'Too many requests in this minute' },
  99: { status: 400, meaning: 'Any other error: see errormsg' },
} as const

export type ErrorCode = keyof typeof catalogue

/** The body of an error answer: exactly these two keys, because clients recognise an error by its key set. */
export interface ErrorBody {
  error: number
  errormsg: string
}

/** A refusal on its way to the caller. Thrown by the door and its endpoints, and by nothing below them. */
export class ApiError extends Error {
  readonly code: ErrorCode
  readonly status: number

  constructor(code: ErrorCode, message: string, status: number = catalogue[code].status) {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.status = status
  }

  get body(): ErrorBody {
    return { error: this.code, errormsg: this.message }
  }
}

const LONGEST_QUOTE = 200

/** The caller's own text inside a message: kept short and on one line, since it also goes to logs. */
function quote(value: string | number): string {
  const text = String(value).toWellFormed()
  const short = text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE).toWellFormed()}…` : text
  return short.replace(/[\u0000-\u001f\u007f]/g, ' ')
}

// Wire protocol

export const unsupportedMethod = (method: string, endpoint: string) =>
  new ApiError(1, `Unsupported method: ${quote(method)} is not supported by /${quote(endpoint)}`)
export const missingParameter = (name: string) => new ApiError(2, `Missing required parameter: ${name}`)
export const missingField = (field: string, of: string) => new ApiError(2, `Missing required field: ${field} for ${of}`)
export const invalidApiKey = (key: string) => new ApiError(3, `Invalid API key: ${quote(key)}`)
export const disallowedAddress = (address: string) => new ApiError(4, `Disallowed IP: ${quote(address)}`)
export const signatureMismatch = () => new ApiError(5, 'Authentication failed: Signature hash does not match')
export const signatureSeen = () =>
  new ApiError(5, 'Authentication failed: this signature was used before (refuse_seen_signatures)')
export const bracketStyleOff = (name: string) =>
  new ApiError(99, `Bracket style is switched off: send ${quote(name)} inside of the parameter json (bracket_style)`)
export const internalError = () => new ApiError(9, 'Internal Error: the request was probably not saved, try again')
export const overloaded = () =>
  new ApiError(9, 'Internal Error: too much is being received at the moment, nothing was saved, try again', 503)
export const invalidUtf8 = (field: string) => new ApiError(42, `Invalid UTF-8 characters for field: ${quote(field)}`)
export const tooManyRequests = (method: string, endpoint: string) =>
  new ApiError(43, `Too many ${method} requests this minute to /${endpoint} API`)
export const unknownEndpoint = (path: string) => new ApiError(99, `Unknown endpoint: ${quote(path)}`, 404)
export const unknownFormat = (format: string) =>
  new ApiError(99, `Unknown format: ${quote(format)} (json and xml are served)`, 406)
export const invalidJson = (name: string) => new ApiError(99, `Invalid JSON in parameter: ${quote(name)}`)
export const tooLarge = (what: string, bytes: number) => new ApiError(99, `${what} is larger than ${bytes} bytes`, 413)
export const tooManyParameters = (limit: number) => new ApiError(99, `More than ${limit} parameters`)
export const tooDeep = (name: string, limit: number) =>
  new ApiError(99, `Parameter is nested more than ${limit} levels deep: ${quote(name)}`)
export const forbiddenName = (name: string) => new ApiError(99, `This parameter name cannot be used: ${quote(name)}`)
export const nulCharacter = (name: string) =>
  new ApiError(99, `Parameter holds a NUL character, which cannot be stored: ${quote(name)}`)
export const unreadableBody = (why: string) => new ApiError(99, `The request body cannot be read: ${quote(why)}`)

// Values

/** @param wanted what the parameter must be, as in "a number" */
export const invalidValue = (name: string, wanted: string) =>
  new ApiError(99, `Invalid value for parameter: ${quote(name)} must be ${wanted}`)
export const invalidTime = (name: string, text: string) =>
  new ApiError(18, `Invalid time: ${quote(text)} in parameter ${quote(name)}`)
export const invalidEmail = (email: string) => new ApiError(11, `Invalid email: ${quote(email)}`)
export const variableNameTooLong = (name: string, limit: number) =>
  new ApiError(99, `Var name is longer than ${limit} characters: ${quote(name)}`)

// Things

export const unknownSend = (id: string) => new ApiError(12, `Unknown send_id: ${quote(id)}`)
export const unknownBlast = (id: string | number) => new ApiError(13, `Unknown blast_id: ${quote(id)}`)
export const unknownRepeat = (id: number) => new ApiError(99, `Unknown repeat_id: ${id}`, 404)
export const unknownTemplate = (name: string) => new ApiError(14, `Unknown template: ${quote(name)}`)
export const unknownSample = (name: string) => new ApiError(99, `Unknown sample: ${quote(name)}`, 404)
export const unknownList = (name: string) => new ApiError(15, `Unknown list: ${quote(name)}`)
export const userNotFound = (key: string, id: string) =>
  new ApiError(99, `User not found with ${quote(key)}: ${quote(id)}`, 404)
export const keyConflict = (key: string) => new ApiError(99, `Key conflict: ${quote(key)}`, 409)
export const unverifiedSender = (address: string) => new ApiError(36, `Unverified from email: ${quote(address)}`)
export const templateDisabled = (name: string) => new ApiError(99, `Template is disabled: ${quote(name)}`, 403)
export const templateInUse = (name: string) => new ApiError(99, `Template is in use: ${quote(name)}`, 403)
export const tooManyPrimaryLists = (limit: number) =>
  new ApiError(99, `There are already ${limit} primary lists, and no more can be made`, 403)
export const sendLimitReached = (name: string) =>
  new ApiError(99, `Send limit reached: ${quote(name)} was sent within the given time`, 409)
export const copyOfConfirmation = (email: string) =>
  new ApiError(99, `A message with a confirmation link goes to its recipient only: ${quote(email)}`, 403)
export const alreadySent = (id: string) => new ApiError(41, `Unable to delete, already sent: ${quote(id)}`)
export const noItems = () => new ApiError(99, 'No items in purchase')
export const duplicatePurchase = (extid: string) =>
  new ApiError(99, `A purchase with this extid exists already: ${quote(extid)}`, 409)

/** Why a message may not go to an address, in the words applications know. */
const refusals = {
  31: 'Email is on the blacklist',
  32: 'Email has opted out of delivery from client',
  33: 'Email has opted out of delivery from template',
  34: 'Email may not be emailed',
  35: 'Email is a known hardbounce',
  37: 'Email will only accept basic templates',
} as const

export type RefusalCode = keyof typeof refusals

/** The answer to a send that the decision about reaching people refused. */
export const refusedRecipient = (code: RefusalCode, email: string) =>
  new ApiError(code, `${refusals[code]}: ${quote(email)}`)
