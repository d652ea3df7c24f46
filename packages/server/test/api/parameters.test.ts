import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { verifySignature } from '../../src/account/signature.ts'
import { ApiError } from '../../src/api/errors.ts'
import { endpointParams, fromPairs, leaves, type Params, parseJson, type Value } from '../../src/api/parameters.ts'
import { formPairs, readParams } from '../../src/api/request.ts'

const secret = 'fedcba9876543210fedcba9876543210'
const key = 'api_key=0123456789abcdef0123456789abcdef'

const read = (body: string, query = '') => readParams(query, Buffer.from(body))
const plain = (params: Params) => JSON.parse(JSON.stringify(params)) as unknown
const given = (body: string, query = '') => plain(endpointParams(read(body, query)))
const refusal = (act: () => unknown): Record<string, unknown> => {
  try {
    act()
  } catch (error) {
    if (error instanceof ApiError) return { ...error.body, status: error.status }
    throw error
  }
  throw new Error('was accepted')
}

describe('what client libraries write', () => {
  const wires: [client: string, wire: string, params: unknown][] = [
    [
      'Node',
      `${key}&format=json&json=%7B%22id%22%3A%22zo%C3%AB%40example.com%22%2C%22vars%22%3A%7B%22name%22%3A%22Zo%C3%AB%20(it's%20me)!%22%7D%7D&sig=d690b90aa874c1b31c19cc9340ff1206`,
      { id: 'zoë@example.com', vars: { name: "Zoë (it's me)!" } },
    ],
    [
      'Python',
      `${key}&format=json&json=%7B%22id%22%3A+%22zo%5Cu00eb%40example.com%22%2C+%22vars%22%3A+%7B%22name%22%3A+%22Zo%5Cu00eb+%26+Ada%22%2C+%22count%22%3A+2%7D%7D&sig=074179f7acd84e11e0c357cff9e94de4`,
      { id: 'zoë@example.com', vars: { name: 'Zoë & Ada', count: 2 } },
    ],
    [
      'PHP',
      `${key}&format=json&json=%7B%22id%22%3A%22zo%5Cu00eb%40example.com%22%2C%22vars%22%3A%7B%22url%22%3A%22https%3A%5C%2F%5C%2Fexample.com%5C%2Fa+b%22%2C%22name%22%3A%22Zo%5Cu00eb%22%7D%2C%22lists%22%3A%5B%5D%7D&sig=96b7abfe2bd693e95af6c0f16d2574e1`,
      { id: 'zoë@example.com', vars: { url: 'https://example.com/a b', name: 'Zoë' }, lists: [] },
    ],
    ['PHP without parameters', `${key}&format=json&json=%5B%5D&sig=523ba7a49a6b85aea3f93629f8ab0afc`, {}],
    [
      'Ruby',
      `${key}&format=json&json=%7B%22id%22%3A%22zo%C3%AB%40example.com%22%2C%22vars%22%3A%7B%22name%22%3A%22Zo%C3%AB+*%22%7D%7D&sig=606ae48f3f6617f9d2d90f9f203003cd`,
      { id: 'zoë@example.com', vars: { name: 'Zoë *' } },
    ],
    [
      'Ruby asking for XML',
      `${key}&format=xml&email=ada%40example.com&vars%5Bname%5D=two+words&vars%5Btags%5D%5B%5D=a&vars%5Btags%5D%5B%5D=b&sig=1a52e244fc3ceb506be925d1584a1bb3`,
      { email: 'ada@example.com', vars: { name: 'two words', tags: ['a', 'b'] } },
    ],
    [
      'curl in bracket style',
      `${key}&format=json&template=Welcome&email=ada@example.com&vars[name]=Ada&vars[count]=2&options[test]=1&sig=b2911d6ea9998014625e444e9b0cdb4d`,
      { template: 'Welcome', email: 'ada@example.com', vars: { name: 'Ada', count: '2' }, options: { test: '1' } },
    ],
  ]

  test.each(wires)('%s', (_, wire, params) => {
    const top = read(wire)
    expect(verifySignature(leaves(top), secret, String(top.sig))).toBe(true)
    expect(plain(endpointParams(top))).toEqual(params)
    expect(plain(endpointParams(readParams(wire, null)))).toEqual(params)
  })
})

describe('bracket style', () => {
  test.each([
    ['a=1&a=2', { a: '2' }],
    ['a[b][c]=1&a[b][d]=2', { a: { b: { c: '1', d: '2' } } }],
    ['a[]=x&a[]=y', { a: ['x', 'y'] }],
    ['a[0][q]=1&a[1][q]=2', { a: [{ q: '1' }, { q: '2' }] }],
    ['a[5]=x&a[]=y', { a: { 5: 'x', 6: 'y' } }],
    ['a[1]=y&a[0]=x', { a: ['x', 'y'] }],
    ['a=1&a[b]=2', { a: { b: '2' } }],
    ['a[b]=2&a=1', { a: '1' }],
    ['a[b]=1&a[b][c]=2', { a: { b: { c: '2' } } }],
    ['lists[Weekly news]=1&lists[A%5DB]=0', { lists: { 'Weekly news': '1', A: '0' } }],
    ['a[b=1', { a: '1' }],
    ['a[b]junk[c]=1', { a: { b: '1' } }],
    ['[x]=1&=2&&b&c=', { '[x]': '1', b: '', c: '' }],
    ['a=1+2%2B3&b%20c=%zz%4', { a: '1 2+3', 'b c': '%zz%4' }],
    ['name=zoë', { name: 'zoë' }],
  ])('%s', (wire, params) => {
    expect(given(wire)).toEqual(params)
  })

  test('empty containers and names sign nothing; every leaf but the signature does', () => {
    expect(leaves(read('b[x]=2&a=1&c[]=3&c[]=4&sig=5')).sort()).toEqual(['1', '2', '3', '4'])
  })

  test('survives the way there and back', () => {
    const leaf = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
    const name = fc.stringMatching(/^[a-z][a-z .'"%&=+]{0,8}$/)
    const { tree } = fc.letrec<{ tree: Value }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.dictionary(name, tie('tree'), { minKeys: 1, maxKeys: 4 }),
        fc.array(tie('tree'), { minLength: 1, maxLength: 4 }),
      ),
    }))
    fc.assert(
      fc.property(fc.dictionary(name, tree, { maxKeys: 4 }), (params) => {
        expect(given(bracketed(params))).toEqual(plain(params as Params))
      }),
    )
  })
})

/** As PHP's http_build_query writes it. */
function bracketed(params: Value, path = ''): string {
  if (typeof params !== 'object' || params === null) {
    return `${encodeURIComponent(path)}=${encodeURIComponent(String(params)).replaceAll('%20', '+')}`
  }
  return Object.entries(params)
    .map(([name, value]) => bracketed(value as Value, path === '' ? name : `${path}[${name}]`))
    .join('&')
}

describe('merging', () => {
  test('the body wins over the query string', () => {
    expect(plain(read('a=body&b[x]=1', 'a=query&b[y]=2&format=json'))).toEqual({
      a: 'body',
      b: { x: '1' },
      format: 'json',
    })
  })

  test('json wins over parameters beside it, and control parameters are not handed on', () => {
    expect(given(`${key}&format=json&sig=x&email=a&limit[x]=1&json={"email":"b","n":null}`)).toEqual({
      email: 'b',
      n: null,
      limit: { x: '1' },
    })
  })
})

describe('refusals', () => {
  test.each([
    ['json=', { error: 99, errormsg: 'Invalid JSON in parameter: json' }],
    ['json={"a":', { error: 99, errormsg: 'Invalid JSON in parameter: json' }],
    ['json=7', { error: 99, errormsg: 'Invalid JSON in parameter: json' }],
    ['json=null', { error: 99, errormsg: 'Invalid JSON in parameter: json' }],
    ['json=["a"]', { error: 99, errormsg: 'Invalid JSON in parameter: json' }],
    ['json[]=a', { error: 99, errormsg: 'Invalid JSON in parameter: json' }],
    ['email=%ff', { error: 42, errormsg: 'Invalid UTF-8 characters for field: email' }],
    ['vars[name]=%c3', { error: 42, errormsg: 'Invalid UTF-8 characters for field: vars[name]' }],
    ['json={"id":"a","vars":{"b":"\\ud800"}}', { error: 42, errormsg: 'Invalid UTF-8 characters for field: vars' }],
    ['a%00b=1', { error: 99, errormsg: 'Parameter holds a NUL character, which cannot be stored: ab' }],
    ['a=%00', { error: 99, errormsg: 'Parameter holds a NUL character, which cannot be stored: a' }],
    ['json={"a":"\\u0000"}', { error: 99, errormsg: 'Parameter holds a NUL character, which cannot be stored: a' }],
    ['json={"a":{"\\u0000":1}}', { error: 99, errormsg: 'Parameter holds a NUL character, which cannot be stored: a' }],
    ['__proto__=1', { error: 99, errormsg: 'This parameter name cannot be used: __proto__' }],
    ['a[__proto__][x]=1', { error: 99, errormsg: 'This parameter name cannot be used: __proto__' }],
    ['json={"a":{"__proto__":{"x":1}}}', { error: 99, errormsg: 'This parameter name cannot be used: __proto__' }],
    ['json={"a":{"\\u005f_proto__":1}}', { error: 99, errormsg: 'This parameter name cannot be used: __proto__' }],
    [`a${'[b]'.repeat(32)}=1`, { error: 99, errormsg: 'Parameter is nested more than 32 levels deep: a' }],
    [
      `json={"a":${'['.repeat(32)}${']'.repeat(32)}}`,
      { error: 99, errormsg: 'Parameter is nested more than 32 levels deep: a' },
    ],
    ['a&'.repeat(10_001), { error: 99, errormsg: 'More than 10000 parameters' }],
  ])('%.60s', (wire, body) => {
    expect(refusal(() => given(wire))).toEqual({ ...body, status: 400 })
  })

  test('raw bytes that are not UTF-8', () => {
    const body = Buffer.from('a=b&name=Zo\xeb', 'latin1')
    expect(refusal(() => readParams('', body))).toMatchObject({
      error: 42,
      errormsg: 'Invalid UTF-8 characters for field: name',
    })
  })

  test('what is just allowed', () => {
    expect(() => given(`a${'[b]'.repeat(31)}=1`)).not.toThrow()
    expect(() => given(`json={"a":${'['.repeat(31)}${']'.repeat(31)}}`)).not.toThrow()
    expect(Object.keys(read(Array.from({ length: 10_000 }, (_, i) => `p${i}=`).join('&')))).toHaveLength(10_000)
  })

  test('ten thousand appended elements take no time', () => {
    expect((read('a[]=x&'.repeat(10_000)).a as Value[]).length).toBe(10_000)
  })

  test('JSON nested millions deep is refused and not recursed into', () => {
    expect(refusal(() => parseJson('['.repeat(5_000_000), 'json'))).toMatchObject({ error: 99 })
    expect(refusal(() => parseJson(`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`, 'json'))).toMatchObject({
      error: 99,
    })
  })

  test('names from Object.prototype are ordinary names', () => {
    const params = endpointParams(read('constructor=1&toString[valueOf]=2'))
    expect(plain(params)).toEqual({ constructor: '1', toString: { valueOf: '2' } })
    expect(Object.getPrototypeOf(params)).toBeNull()
  })
})

describe('arbitrary input', () => {
  const onlyApiErrors = (act: () => unknown) => {
    try {
      act()
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
    }
  }

  test('bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        onlyApiErrors(() => endpointParams(readParams('', Buffer.from(bytes))))
        onlyApiErrors(() => endpointParams(readParams(Buffer.from(bytes).toString('latin1'), null)))
      }),
      { numRuns: 2000 },
    )
  })

  test('texts made of what the syntax is made of', () => {
    const syntax = fc.constantFrom(
      'a',
      'json',
      '[',
      ']',
      '=',
      '&',
      '+',
      '%',
      '%5B',
      '%5d',
      '%00',
      '%ff',
      '0',
      '1',
      '{',
      '}',
      '"',
      ':',
      ',',
      '\xc3',
      '\xab',
      '__proto__',
    )
    fc.assert(
      fc.property(fc.array(syntax, { maxLength: 60 }), (parts) => {
        onlyApiErrors(() => leaves(readParams('', Buffer.from(parts.join(''), 'latin1'))))
        onlyApiErrors(() => endpointParams(readParams(parts.join(''), null)))
      }),
      { numRuns: 3000 },
    )
  })

  test('URL decoding agrees with the platform on valid forms', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ minLength: 1, unit: 'grapheme' }), fc.string({ unit: 'grapheme' }))),
        (pairs) => {
          const form = new URLSearchParams(pairs).toString()
          expect(formPairs(form)).toEqual(pairs)
        },
      ),
    )
  })

  test('pairs made in code obey the same limits', () => {
    expect(refusal(() => fromPairs(Array.from({ length: 10_001 }, () => ['a', ''] as const)))).toMatchObject({
      error: 99,
    })
  })
})
