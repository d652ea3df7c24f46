import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

/** Says in words where a value does not fit its schema, a sentence for each place. */
export type Describe = (value: unknown) => string[]

/** Prepares the check of one schema. */
export function describeAgainst(schema: TSchema): Describe {
  const validator = Compile(schema)
  return (value) => {
    if (validator.Check(value)) return []
    const errors = validator.Errors(value) as SchemaError[]
    // Alternatives fail one by one; the shape that nearly fitted says enough.
    const told = errors.filter((error) => error.keyword !== 'boolean' && error.keyword !== 'anyOf').map(sentence)
    return [...new Set(told.length > 0 ? told : ['it has not the shape of a flow'])]
  }
}

interface SchemaError {
  keyword: string
  instancePath: string
  params: {
    additionalProperties?: string[]
    requiredProperties?: string[]
    allowedValues?: unknown[]
    allowedValue?: unknown
    limit?: number
    type?: string | string[]
  }
  message: string
}

function sentence({ keyword, instancePath, params, message }: SchemaError): string {
  const path = instancePath.split('/').slice(1).join('.')
  const it = path === '' ? 'it' : path
  const under = (name: string) => (path === '' ? name : `${path}.${name}`)
  switch (keyword) {
    case 'required':
      return `${(params.requiredProperties ?? []).map(under).join(', ')} is missing`
    case 'additionalProperties':
      return `${(params.additionalProperties ?? []).map(under).join(', ')} is not known here`
    case 'enum':
      return `${it} is one of ${(params.allowedValues ?? []).join(', ')}`
    case 'const':
      return `${it} is ${JSON.stringify(params.allowedValue)}`
    case 'type':
      return `${it} is ${article(String(params.type))}`
    case 'minimum':
      return `${it} is at least ${params.limit}`
    case 'maximum':
      return `${it} is at most ${params.limit}`
    case 'minLength':
      return `${it} may not be empty`
    case 'maxLength':
      return `${it} has at most ${params.limit} characters`
    case 'minItems':
    case 'minProperties':
      return `${it} needs at least ${params.limit} of them`
    case 'maxItems':
    case 'maxProperties':
      return `${it} holds at most ${params.limit} of them`
    case 'uniqueItems':
      return `${it} names something twice`
    case 'pattern':
      return `${it} is not written as it must be: ${message}`
    default:
      return `${it} ${message}`
  }
}

const article = (type: string) => (/^[aeio]/.test(type) ? `an ${type}` : `a ${type}`)
