import type { TSchema } from 'typebox'
import type { Endpoints, Operation } from './endpoints.ts'
import { catalogue } from './errors.ts'

/**
 * The OpenAPI 3.1 document of the API, made from the endpoint table. OpenAPI cannot say that one parameter is the MD5
 * of all others, so the prose says it.
 */

export interface OpenApiDocument {
  openapi: '3.1.0'
  info: { title: string; version: string; description: string }
  servers: { url: string }[]
  paths: Record<string, Record<string, OpenApiOperation>>
  components: Record<string, Record<string, unknown>>
}

export interface OpenApiOperation {
  operationId: string
  summary: string
  parameters?: unknown[]
  requestBody?: unknown
  responses: Record<string, unknown>
}

const description = `Every call carries four control parameters: \`api_key\`, \`sig\`, \`format\` and \`json\`. GET and \
DELETE carry them in the query string, POST in a form body.

**JSON style** (preferred): all endpoint parameters are one JSON object in \`json\`.
**Bracket style**: each is a parameter of its own, in PHP's notation: \`vars[name]=Ada\`, \`lists[Weekly]=1\`, \
\`items[0][price]=1099\`.

\`sig\` is the lower-case hex MD5 of the shared secret followed by the values of all parameters but \`sig\`, decoded, \
sorted as byte strings, without separators. Names are not part of it, nor are files. In JSON style the values are the \
API key, the word \`json\`, and the text of the \`json\` parameter.

An answer with HTTP status 200 and no key \`error\` is a success. Without \`format\` the answer is XML.`

const controls = {
  api_key: { description: 'The public key', schema: { type: 'string' }, required: true },
  sig: {
    description: 'Lower-case hex MD5 of the secret and all sorted values',
    schema: { type: 'string', pattern: '^[0-9a-f]{32}$' },
    required: true,
  },
  format: {
    description: 'Format of the answer',
    schema: { type: 'string', enum: ['json', 'xml'], default: 'xml' },
    required: false,
  },
} as const

const jsonDescription = 'The parameters of the endpoint as one JSON object; takes the place of individual parameters'

/** @param publicUrl the base address of the API, without a slash at the end */
export function openApiDocument(endpoints: Endpoints, version: string, publicUrl: string): OpenApiDocument {
  const schemas: Record<string, unknown> = { Error: errorSchema }
  const paths: OpenApiDocument['paths'] = {}
  for (const [path, endpoint] of Object.entries(endpoints)) {
    const operations: Record<string, OpenApiOperation> = {}
    for (const method of ['get', 'post', 'delete'] as const) {
      const operation = endpoint[method]
      if (!operation) continue
      const id = `${method}-${path.replaceAll('/', '-')}`
      schemas[id] = operation.params
      operations[method] = documented(id, method, operation)
    }
    paths[`/${path}`] = operations
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Fairlead API', version, description },
    servers: [{ url: publicUrl }],
    paths,
    components: { schemas, headers, parameters },
  }
}

function documented(id: string, method: 'get' | 'post' | 'delete', operation: Operation): OpenApiOperation {
  const schema = { $ref: `#/components/schemas/${id}` }
  const common = { operationId: id, summary: operation.summary, responses }
  if (method === 'post') return { ...common, requestBody: { required: true, content: bodies(schema, operation) } }
  return {
    ...common,
    parameters: [
      ...Object.keys(controls).map((name) => ({ $ref: `#/components/parameters/${name}` })),
      { name: 'json', in: 'query', description: jsonDescription, content: { 'application/json': { schema } } },
    ],
  }
}

function bodies(contentSchema: { $ref: string }, operation: Operation): Record<string, unknown> {
  const properties = {
    ...Object.fromEntries(
      Object.entries(controls).map(([name, { description, schema }]) => [name, { ...schema, description }]),
    ),
    json: { type: 'string', contentMediaType: 'application/json', contentSchema, description: jsonDescription },
  }
  const schema = { type: 'object', required: ['api_key', 'sig'], properties }
  const form = { 'application/x-www-form-urlencoded': { schema } }
  if (!operation.takesFiles) return form
  const file = {
    type: 'string',
    contentMediaType: 'application/octet-stream',
    description: 'Not part of the signature',
  }
  return { ...form, 'multipart/form-data': { schema: { ...schema, properties: { ...properties, file } } } }
}

const errorSchema = {
  type: 'object',
  required: ['error', 'errormsg'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'integer',
      enum: Object.keys(catalogue).map(Number),
      description: Object.entries(catalogue)
        .map(([code, { status, meaning }]) => `${code} (HTTP ${status}): ${meaning}`)
        .join('\n'),
    },
    errormsg: { type: 'string', description: 'Technical text, not meant for end users' },
  },
}

const parameters = Object.fromEntries(
  Object.entries(controls).map(([name, control]) => [name, { name, in: 'query', ...control }]),
)

const headers = {
  'X-Rate-Limit-Limit': { description: 'Requests allowed in this minute', schema: { type: 'integer' } },
  'X-Rate-Limit-Remaining': { description: 'Requests left in this minute', schema: { type: 'integer' } },
  'X-Rate-Limit-Reset': { description: 'Unix time in seconds at which the minute ends', schema: { type: 'integer' } },
}

const responses = {
  200: {
    description: 'Done. Never holds the key error.',
    headers: Object.fromEntries(Object.keys(headers).map((name) => [name, { $ref: `#/components/headers/${name}` }])),
    content: { 'application/json': { schema: { type: 'object' } } },
  },
  default: {
    description: 'Refused or failed',
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
  },
}

/** A schema in a few words for readers: `map of 0 | 1`, `array of text`. */
export function inWords(schema: TSchema): string {
  const given = schema as { type?: string; const?: unknown; anyOf?: TSchema[]; items?: TSchema } & Record<
    string,
    unknown
  >
  if (given.const !== undefined) return JSON.stringify(given.const)
  if (given.anyOf) return [...new Set(given.anyOf.map(inWords))].join(' | ')
  if (Array.isArray(given.enum)) return given.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (given.type === 'array') return given.items ? `array of ${inWords(given.items)}` : 'array'
  if (given.type !== 'object') return given.type === 'string' ? 'text' : (given.type ?? 'anything')
  const [values] = Object.values((given.patternProperties ?? {}) as Record<string, TSchema>)
  return values ? `map of ${inWords(values)}` : 'map'
}
