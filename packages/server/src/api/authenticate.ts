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
