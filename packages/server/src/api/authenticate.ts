import { verifySignature } from '../account/signature.ts'
import type { ApiKey } from './endpoints.ts'
import { disallowedAddress, invalidApiKey, missingParameter, signatureMismatch } from './errors.ts'
import { leaves, type Params } from './parameters.ts'

/** Where key pairs come from; a cached answer may come without a promise. */
export interface ApiKeys {
  find(apiKey: string): Promise<ApiKey | null> | ApiKey | null
}

export type AddressAllowlist = (address: string) => boolean | Promise<boolean>

/**
 * Who is calling. The checks stand in the order in which a caller can mend them: key given (2), known (3), source
 * address allowed (4), signature given (2) and right (5).
 * @throws ApiError
 */
export async function authenticate(
  params: Params,
  address: string,
  keys: ApiKeys,
  allowsAddress: AddressAllowlist | undefined,
): Promise<ApiKey> {
  const { api_key: given, sig } = params
  if (typeof given !== 'string' || given === '') throw missingParameter('api_key')
  const found = keys.find(given)
  const apiKey = found instanceof Promise ? await found : found
  if (apiKey === null) throw invalidApiKey(given)
  if (allowsAddress && !(await allowsAddress(address))) throw disallowedAddress(address)
  if (typeof sig !== 'string' || sig === '') throw missingParameter('sig')
  if (!verifySignature(leaves(params), apiKey.secret, sig)) throw signatureMismatch()
  return apiKey
}

const NAME = 'api_key='

/**
 * Refuses a large form that names no key of the account, without taking it apart: what strangers send should cost as
 * little as possible. As `authenticate` does, which comes afterwards all the same.
 * @throws ApiError
 */
export async function requireKnownKey(form: Buffer, query: string, keys: ApiKeys): Promise<void> {
  const given = keyIn(form) ?? new URLSearchParams(query).get('api_key')
  if (given === null || given === '') throw missingParameter('api_key')
  if ((await keys.find(given)) === null) throw invalidApiKey(given)
}

/** Whether the first bytes of a body, or the query, name a key of the account. Their signature is another matter. */
export async function namesKnownKey(first: Buffer, query: string, keys: ApiKeys): Promise<boolean> {
  const part = /name="api_key"\r\n\r\n([^\r]*)/.exec(first.toString('latin1', 0, FIRST))
  const given = keyIn(first) ?? part?.[1] ?? new URLSearchParams(query).get('api_key')
  return given ? (await keys.find(given)) !== null : false
}

/** Where multipart bodies begin, in bytes. */
const FIRST = 16_384

/** The last key that a form names, which is the one that counts; null: it names none. */
function keyIn(form: Buffer): string | null {
  for (let at = form.lastIndexOf(NAME); at !== -1; at = at === 0 ? -1 : form.lastIndexOf(NAME, at - 1)) {
    if (at > 0 && form[at - 1] !== AMPERSAND) continue
    const end = form.indexOf('&', at)
    const text = form.toString('latin1', at, end === -1 ? undefined : end).slice(0, LONGEST)
    return new URLSearchParams(text).get('api_key')
  }
  return null
}

const AMPERSAND = 0x26
/** Of `api_key=` and its value, percent-encoded. */
const LONGEST = 1_000
