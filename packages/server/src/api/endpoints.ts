import type { TSchema } from 'typebox'
import type { Answer } from './answer.ts'
import type { UploadedFile } from './multipart.ts'
import type { Params } from './parameters.ts'

/** A key pair that may call the API. */
export interface ApiKey {
  key: string
  secret: string
}

/** What an endpoint knows about a call besides its parameters. */
export interface Context {
  apiKey: ApiKey
  /** Where the call came from. */
  address: string
  now: Date
  /** File parts by name; gone after the answer unless moved. */
  files: ReadonlyMap<string, UploadedFile>
}

/** One method of an endpoint. */
export interface Operation {
  summary: string
  /** What the documentation says of the parameters; the readers of coerce.ts decide what is accepted. */
  params: TSchema
  /** Whether file parts are kept for the handler. */
  takesFiles?: boolean
  /**
   * Does the work. Answers one object that is not empty and has no key `error`.
   * @throws ApiError to refuse
   */
  handle(context: Context, params: Params): Promise<Answer> | Answer
}

export interface Endpoint {
  get?: Operation
  post?: Operation
  delete?: Operation
}

/** Endpoints by path, as in `user` or `content/watch`. */
export type Endpoints = Readonly<Record<string, Endpoint>>

/** The operation behind an HTTP method. */
export function operationFor(endpoint: Endpoint, method: string): Operation | undefined {
  if (method === 'GET') return endpoint.get
  if (method === 'POST') return endpoint.post
  return method === 'DELETE' ? endpoint.delete : undefined
}

/** The methods an endpoint knows, as the `Allow` header names them. */
export const methodsOf = (endpoint: Endpoint): string[] =>
  Object.entries({ GET: endpoint.get, POST: endpoint.post, DELETE: endpoint.delete })
    .filter(([, operation]) => operation !== undefined)
    .map(([method]) => method)
