import { createHmac } from 'node:crypto'
import { request as requestPlain } from 'node:http'
import { request as requestSecure } from 'node:https'
import type { KeyPair } from '../account/keys.ts'
import { sign } from '../account/signature.ts'
import type { JsonObject } from '../platform/json.ts'
import type { TargetPolicy } from './target.ts'

/** What became of one attempt. */
export interface PostOutcome {
  /** 200 is the only yes. */
  ok: boolean
  /** Status or problem, in a few words. */
  reply: string
}

/** The receiver has this long for its whole answer, in ms. */
const PATIENCE = 10_000
/** Bytes of an answer that are read. */
const MOST_READ = 64 * 1024

/** The form of a postback, signed like an API call: every value, `api_key` included, sorted behind the secret. */
export function signedForm(body: JsonObject, pair: KeyPair): string {
  const parameters = {
    ...Object.fromEntries(Object.entries(body).map(([name, value]) => [name, String(value)])),
    api_key: pair.key,
  }
  const sig = sign(Object.values(parameters), pair.secret)
  return new URLSearchParams({ ...parameters, sig }).toString()
}

/**
 * Headers of ours beside the signature of old, which cannot tell a repeated request from a new one: the same event has
 * the same id at every attempt, and `X-Fairlead-Signature` is `v1=` and the HMAC-SHA-256, in hexadecimal digits, of
 * event id, timestamp (UNIX seconds) and body, joined by dots.
 */
export function signedHeaders(eventId: string, form: string, pair: KeyPair, now: Date): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const mac = createHmac('sha256', pair.secret).update(`${eventId}.${timestamp}.${form}`).digest('hex')
  return {
    'x-fairlead-event-id': eventId,
    'x-fairlead-timestamp': timestamp,
    'x-fairlead-signature': `v1=${mac}`,
  }
}

/** Posts a form. Follows no redirect, and never throws. */
export function post(
  target: string,
  form: string,
  policy: TargetPolicy,
  headers: Record<string, string> = {},
): Promise<PostOutcome> {
  if (!URL.canParse(target)) return Promise.resolve({ ok: false, reply: 'the address is not a URL' })
  const url = new URL(target)
  const problem = policy.problemWith(url)
  if (problem) return Promise.resolve({ ok: false, reply: problem })
  return new Promise((resolve) => {
    const request = (url.protocol === 'https:' ? requestSecure : requestPlain)(
      url,
      {
        method: 'POST',
        lookup: policy.lookup,
        agent: false,
        signal: AbortSignal.timeout(PATIENCE),
        headers: {
          ...headers,
          'content-type': 'application/x-www-form-urlencoded',
          'content-length': Buffer.byteLength(form),
          'user-agent': 'Fairlead',
        },
      },
      (response) => {
        const { statusCode = 0 } = response
        let read = 0
        response.on('data', (chunk: Buffer) => {
          read += chunk.length
          if (read > MOST_READ) response.destroy()
        })
        response.on('error', () => {})
        resolve({ ok: statusCode === 200, reply: `HTTP ${statusCode}` })
      },
    )
    request.on('error', (error) => {
      const late = error.name === 'AbortError' || error.name === 'TimeoutError'
      resolve({ ok: false, reply: late ? `no answer within ${PATIENCE / 1000} s` : error.message.slice(0, 300) })
    })
    request.end(form)
  })
}
