import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import type { SeenSignatures } from '../account/seen-signatures.ts'
import { answerWithin, TooLate } from '../platform/callers.ts'
import type { Clock } from '../platform/clock.ts'
import type { Metrics } from '../platform/metrics.ts'
import { Overloaded } from '../platform/overloaded.ts'
import type { Settings } from '../settings/settings.ts'
import { type Answer, assertSuccess, contentTypes, encode, type Format, formatNamed } from './answer.ts'
import { type AddressAllowlist, type ApiKeys, authenticate, requireKnownKey } from './authenticate.ts'
import { type Endpoint, type Endpoints, methodsOf, type Operation, operationFor } from './endpoints.ts'
import {
  ApiError,
  bracketStyleOff,
  internalError,
  missingParameter,
  overloaded,
  signatureSeen,
  tooLarge,
  tooManyRequests,
  unknownEndpoint,
  unknownFormat,
  unreadableBody,
  unsupportedMethod,
} from './errors.ts'
import { discardFiles, type Multipart, readMultipart, type UploadedFile } from './multipart.ts'
import { bracketName, endpointParams, type Params } from './parameters.ts'
import { createRateLimit, type Method, type RateLimits } from './rate-limit.ts'
import { readParams } from './request.ts'

/**
 * The HTTP door of the Sailthru-compatible API. A call passes, in this order: parameters, key, source address,
 * signature, rate limit, format, endpoint, method, handler. Whatever goes wrong becomes one catalogue error.
 */

export interface ApiDoor {
  endpoints: Endpoints
  keys: ApiKeys
  clock: Clock
  rateLimits: RateLimits
  /** Source addresses that may call; absent: all. */
  allowsAddress?: AddressAllowlist
  /** Most bytes of a request without its files. */
  bodyLimit: number
  /** Most bytes of one file part. */
  fileLimit: number
  /** Where file parts lie during a request; must exist. */
  spoolFolder: string
  /** Every call is answered within this time after its body was read, in ms: with error 9 when there is no outcome yet. */
  answerWithin: number
  metrics: Metrics
  /** What of the account's settings is held here; absent: the defaults. */
  rules?: { get(): Promise<Pick<Settings, 'bracket_style' | 'refuse_seen_signatures'>> }
  /** Signatures that were seen before. */
  signatures?: SeenSignatures
}

export const defaultBodyLimit = 16 * 1024 * 1024
export const defaultFileLimit = 100 * 1024 * 1024

const METHODS = ['GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'HEAD', 'OPTIONS']
const NO_FILES: ReadonlyMap<string, UploadedFile> = new Map()
/** Below this an answer fits one packet, and packing it costs more than it saves. */
const WORTH_PACKING = 1024
/** Above this a form is taken apart only if it names a key of the account, in bytes. */
const WORTH_A_LOOK = 64 * 1024
const pack = promisify(gzip)

type Serve = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>

/**
 * What Fastify must be made with where this door is: no request log, which would fill with signed queries to replay,
 * and our own words for addresses that cannot even be decoded.
 */
export const appOptions = () => ({
  logController: new LogController({ disableRequestLogging: true }),
  frameworkErrors: (_error: unknown, request: FastifyRequest, reply: FastifyReply) =>
    void send(request, reply, formatGuessed(request), unknownEndpoint(pathOf(request))),
})

/** Serves the endpoints at the host root, and every path nobody else serves. */
export function registerApi(app: FastifyInstance, door: ApiDoor): void {
  const countRequest = createRateLimit(door.rateLimits)
  const late = door.metrics.counter(
    'fairlead_api_late_total',
    'API calls answered with error 9 because the database was too slow, by what had become of them',
    ['effect'],
  )

  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: door.bodyLimit }, (_request, body, done) =>
      done(null, body),
    )
    scope.addContentTypeParser(/^multipart\/form-data/i, (request: FastifyRequest, payload: IncomingMessage) =>
      readMultipart(payload, request.headers['content-type'] ?? '', {
        textBytes: door.bodyLimit,
        fileBytes: door.fileLimit,
        spoolFolder: operationAt(door.endpoints, request)?.takesFiles ? door.spoolFolder : null,
      }),
    )
    scope.setErrorHandler((error: FastifyError | ApiError, request, reply) =>
      send(request, reply, formatGuessed(request), translated(error, request, door)),
    )
    for (const path of Object.keys(door.endpoints)) {
      scope.route({ method: METHODS, url: `/${path}`, exposeHeadRoute: false, handler: serve(path) })
    }
    // Old clients join base and endpoint with one slash too many; they arrive here and are served all the same.
    scope.setNotFoundHandler((request, reply) => serve(pathOf(request))(request, reply))
  })

  /** Answers calls to a path. */
  function serve(path: string): Serve {
    const endpoint = Object.hasOwn(door.endpoints, path) ? door.endpoints[path] : undefined
    return async (request, reply) => {
      const shown: { format: Format | null } = { format: null }
      let answer: Answer | ApiError
      try {
        answer = await answerWithin(door.answerWithin, () => carryOut(path, endpoint, request, reply, shown))
      } catch (error) {
        answer = error instanceof TooLate ? tooLate(error, request) : translated(error, request, door)
      }
      return send(request, reply, shown.format ?? formatGuessed(request), answer)
    }
  }

  /** @param shown learns of the format as soon as it is known */
  async function carryOut(
    path: string,
    endpoint: Endpoint | undefined,
    request: FastifyRequest,
    reply: FastifyReply,
    shown: { format: Format | null },
  ): Promise<Answer> {
    const body = request.body as Buffer | Multipart | null | undefined
    const files = body && !Buffer.isBuffer(body) ? body.files : NO_FILES
    try {
      const form = formOf(request, body ?? null)
      if (Buffer.isBuffer(form) && form.length > WORTH_A_LOOK) await requireKnownKey(form, queryOf(request), door.keys)
      const params = readParams(queryOf(request), form)
      shown.format = formatNamed(params.format)
      // A visitor or robot on a path that is not ours is no API client with a missing key.
      if (!endpoint && params.api_key === undefined) throw unknownEndpoint(path)
      const apiKey = await authenticate(params, request.ip, door.keys, door.allowsAddress)
      const now = door.clock.now()
      count(reply, apiKey.key, endpoint ? path : '', request.method, now)
      if (shown.format === null) throw unknownFormat(String(params.format))
      if (!endpoint) throw unknownEndpoint(path)
      const operation = operationFor(endpoint, request.method) ?? refuseMethod(reply, request.method, path, endpoint)
      await holdRules(apiKey.key, params, request.method, files)
      const given = endpointParams(params)
      // Some clients leave the local path of a file in the parameters.
      for (const name of files.keys()) delete given[name]
      const answer = await operation.handle({ apiKey, address: request.ip, now, files }, given)
      assertSuccess(answer)
      return answer
    } finally {
      if (files.size > 0) await discardFiles(files)
    }
  }

  /** What the account asks of calls beyond a right signature. */
  async function holdRules(apiKey: string, params: Params, method: string, files: ReadonlyMap<string, UploadedFile>) {
    const rules = await door.rules?.get()
    const unsigned = rules?.bracket_style === 'off' ? bracketName(params, files) : null
    if (unsigned !== null) throw bracketStyleOff(unsigned)
    if (!rules?.refuse_seen_signatures || method === 'GET' || method === 'HEAD') return
    if (!(await door.signatures?.take(apiKey, String(params.sig)))) throw signatureSeen()
  }

  function tooLate({ effect }: TooLate, request: FastifyRequest): ApiError {
    late.of(effect).value += 1
    request.log.error({ ...nameOf(request, door.endpoints), effect }, 'API call was not answered in time')
    return internalError()
  }

  /** Unknown endpoints and methods share one counter each, so that callers cannot fill the memory with names. */
  function count(reply: FastifyReply, apiKey: string, endpoint: string, method: string, now: Date): void {
    const counted: Method = method === 'POST' || method === 'DELETE' ? method : 'GET'
    const rate = countRequest(apiKey, endpoint, counted, now.getTime())
    // The PHP client searches for these names with their capitals, which Fastify's own headers would lose.
    reply.raw.setHeader('X-Rate-Limit-Limit', rate.limit)
    reply.raw.setHeader('X-Rate-Limit-Remaining', rate.remaining)
    reply.raw.setHeader('X-Rate-Limit-Reset', rate.reset)
    if (!rate.allowed) throw tooManyRequests(method, endpoint)
  }
}

function refuseMethod(reply: FastifyReply, method: string, path: string, endpoint: Endpoint): never {
  reply.header('Allow', methodsOf(endpoint).join(', '))
  throw unsupportedMethod(method, path)
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  format: Format,
  answer: Answer | ApiError,
): Promise<FastifyReply> {
  const failed = answer instanceof ApiError
  const text = encode(failed ? { ...answer.body } : answer, format)
  reply.apiError = failed ? answer.body.error : 0
  reply.code(failed ? answer.status : 200).header('Content-Type', contentTypes[format])
  if (text.length < WORTH_PACKING) return reply.send(text)
  reply.header('Vary', 'Accept-Encoding')
  if (!acceptsGzip(request.headers['accept-encoding'])) return reply.send(text)
  return reply.header('Content-Encoding', 'gzip').send(await pack(text))
}

const acceptsGzip = (accepted: string | string[] | undefined) =>
  accepted !== undefined && /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(String(accepted))

/** What a caller may know of something thrown. The rest goes to the log. */
function translated(error: unknown, request: FastifyRequest, { bodyLimit, endpoints }: ApiDoor): ApiError {
  if (error instanceof ApiError) return error
  if (error instanceof Overloaded) return overloaded()
  const { code, statusCode } = error as Partial<FastifyError>
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge('Request body', bodyLimit)
  if (code?.startsWith('FST_ERR_') && statusCode && statusCode < 500) return unreadableBody((error as Error).message)
  request.log.error({ err: error, ...nameOf(request, endpoints) }, 'API call failed')
  return internalError()
}

/** The form in a body. JSON bodies were never part of this API, and nothing in them is signed. */
function formOf(request: FastifyRequest, body: Buffer | Multipart | null): Buffer | Multipart | null {
  if (body !== null && /^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw missingParameter('api_key')
  }
  return body
}

/** What stands behind the question mark, as it was sent. */
export function queryOf(request: FastifyRequest): string {
  const url = request.raw.url as string
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark + 1)
}

const pathOf = (request: FastifyRequest) => (request.raw.url as string).replace(/\?.*$/s, '').replace(/^\/+|\/+$/g, '')

/** What the log may know of a call. An address that is no endpoint's may hold anything, such as a key. */
function nameOf(request: FastifyRequest, endpoints: Endpoints): { method: string; path: string } {
  const path = pathOf(request)
  return { method: request.method, path: Object.hasOwn(endpoints, path) ? path : 'unknown' }
}

function operationAt(endpoints: Endpoints, request: FastifyRequest): Operation | undefined {
  const path = pathOf(request)
  const endpoint = Object.hasOwn(endpoints, path) ? endpoints[path] : undefined
  return endpoint && operationFor(endpoint, request.method)
}

/** The format of an answer to a request that could not be read: what it names literally, else JSON. */
function formatGuessed(request: FastifyRequest): Format {
  const form = Buffer.isBuffer(request.body) ? `&${request.body.toString('latin1')}` : ''
  const named = /[?&]format=(json|xml)(?:&|$)/.exec((request.raw.url as string) + form)
  return (named?.[1] as Format | undefined) ?? 'json'
}
