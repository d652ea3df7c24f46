import { Type } from 'typebox'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inWords, openApiDocument } from '../../src/api/openapi.ts'
import { endpoints, type Server, serve } from './support.ts'

let server: Server
beforeAll(async () => {
  server = await serve()
})
afterAll(() => server.close())

test('the document names every operation, its control parameters and its schema', async () => {
  const document = openApiDocument(endpoints, '0.1.0', 'http://127.0.0.1')
  expect(await (await fetch(`${server.url}/openapi.json`)).json()).toEqual(JSON.parse(JSON.stringify(document)))
  expect(document.openapi).toBe('3.1.0')
  expect(Object.keys(document.paths)).toEqual(['/user', '/send', '/job', '/content/watch', '/stats'])
  expect(document.paths['/user']?.get?.parameters).toMatchObject([
    { $ref: '#/components/parameters/api_key' },
    { $ref: '#/components/parameters/sig' },
    { $ref: '#/components/parameters/format' },
    {
      name: 'json',
      in: 'query',
      content: { 'application/json': { schema: { $ref: '#/components/schemas/get-user' } } },
    },
  ])
  const properties = {
    api_key: {},
    sig: {},
    format: {},
    json: { contentSchema: { $ref: '#/components/schemas/post-job' } },
  }
  expect(document.paths['/job']?.post?.requestBody).toMatchObject({
    content: {
      'application/x-www-form-urlencoded': { schema: { required: ['api_key', 'sig'], properties } },
      'multipart/form-data': { schema: { properties: { ...properties, file: {} } } },
    },
  })
  expect(document.components.schemas?.['get-user']).toMatchObject({ type: 'object', required: ['id'] })
})

test('every reference leads somewhere', () => {
  const document = openApiDocument(endpoints, '0.1.0', 'http://127.0.0.1')
  for (const [, group, name] of JSON.stringify(document).matchAll(/"#\/components\/(\w+)\/([^"]+)"/g)) {
    expect(document.components[group as string]).toHaveProperty([name as string])
  }
})

test('the page shows it without scripts or anything from elsewhere', async () => {
  for (const path of ['/docs', '/']) {
    const response = await fetch(server.url + path)
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/=]+';/)
    const html = await response.text()
    expect(html).not.toMatch(/<script|<link|<img|style=/)
  }
  const html = await (await fetch(`${server.url}/docs`)).text()
  expect(html).toContain('<b>POST</b> Take a file')
  expect(html).toContain('<td>map of 1')
  expect(html).toContain('The <code>key</code> value')
})

test('schemas in words', () => {
  const bool01 = Type.Union([Type.Literal(0), Type.Literal(1)])
  expect(inWords(Type.Record(Type.String(), bool01))).toBe('map of 0 | 1')
  expect(inWords(Type.Array(Type.String()))).toBe('array of text')
  expect(inWords(Type.Union([Type.String(), Type.Array(Type.Integer())]))).toBe('text | array of integer')
  expect(inWords(Type.Enum(['none', 'all']))).toBe('"none" | "all"')
  expect(inWords(Type.Object({}))).toBe('map')
  expect(inWords(Type.Unknown())).toBe('anything')
})
