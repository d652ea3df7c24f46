import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAddressAllowlist } from '../../src/api/source-address.ts'
import { form, key, raw, type Server, secret, serve, signed } from './support.ts'

let server: Server
beforeAll(async () => {
  server = await serve()
})
afterAll(() => server.close())

/** Calls the API and reads status and JSON. */
async function call(method: string, path: string, wire: string, headers: Record<string, string> = {}, to = server) {
  const inBody = method === 'POST' || method === 'PUT'
  const response = await fetch(`${to.url}/${path}${inBody || wire === '' ? '' : `?${wire}`}`, {
    method,
    redirect: 'manual',
    headers: inBody ? { ...form, ...headers } : headers,
    ...(inBody && { body: wire }),
  })
  const text = await response.text()
  const type = response.headers.get('content-type')
  return {
    status: response.status,
    type,
    headers: response.headers,
    text,
    body: type?.includes('json') ? JSON.parse(text) : null,
  }
}

describe('answers', () => {
  test('each method of an endpoint, in JSON and in bracket style', async () => {
    expect(await call('GET', 'user', signed({ id: 'zoë@example.com' }))).toMatchObject({
      status: 200,
      type: 'application/json; charset=utf-8',
      body: { got: { id: 'zoë@example.com' } },
    })
    expect((await call('POST', 'user', signed({ id: 'a', vars: { n: 1 } }))).body).toEqual({
      ok: true,
      saved: { id: 'a', vars: { n: 1 } },
    })
    expect((await call('DELETE', 'user', signed({ id: 'a' }))).body).toEqual({ ok: true, id: 'a' })
    expect((await call('POST', 'user', signed('format=json&id=a&vars[n]=1&tags[]=x'))).body).toEqual({
      ok: true,
      saved: { id: 'a', vars: { n: '1' }, tags: ['x'] },
    })
    expect((await call('GET', 'user', signed('format=json&json=[]'))).body).toEqual({ got: {} })
  })

  test('XML when no format is named', async () => {
    expect(await call('GET', 'user', signed({ id: 'a' }, null))).toMatchObject({
      status: 200,
      type: 'text/xml; charset=utf-8',
      text: '<?xml version="1.0" encoding="UTF-8"?>\n<triggermail><got><id>a</id></got></triggermail>\n',
    })
  })

  test('an unknown format is 406', async () => {
    expect(await call('GET', 'user', signed({ id: 'a' }, 'php'))).toMatchObject({ status: 406, body: { error: 99 } })
  })

  test('a refusal of the endpoint: two keys and the status', async () => {
    const { status, body } = await call('POST', 'send', signed({ email: 'ada@example.com' }))
    expect({ status, body }).toEqual({
      status: 403,
      body: { error: 32, errormsg: 'Email has opted out of delivery from client: ada@example.com' },
    })
  })

  test('part of the parameters in the query string of a POST', async () => {
    const wire = signed({ id: 'a' })
    const [inQuery, ...rest] = wire.split('&').reverse()
    expect((await call('POST', `user?${inQuery}`, rest.join('&'))).body).toEqual({ ok: true, saved: { id: 'a' } })
  })

  test('slashes too many are forgiven, without a redirect', async () => {
    expect((await call('POST', '/user', signed({ id: 'a' }))).status).toBe(200)
    expect((await call('GET', 'user/', signed({ id: 'a' }))).status).toBe(200)
  })

  test('ten megabytes', async () => {
    const big = 'x'.repeat(10_000_000)
    const { status, body } = await call('POST', 'user', signed({ id: 'a', vars: { big } }))
    expect(status).toBe(200)
    expect(body.saved.vars.big).toHaveLength(10_000_000)
  })

  test('large answers are packed when asked for', async () => {
    const wire = `/content/watch?${signed({})}`
    const packed = await server.app.inject({ url: wire, headers: { 'accept-encoding': 'deflate, gzip;q=0.5' } })
    expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' })
    const plain = await server.app.inject({ url: wire, headers: { 'accept-encoding': 'gzip;q=0' } })
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(gunzipSync(packed.rawPayload).toString()).toBe(plain.body)
    const small = await server.app.inject({
      url: `/user?${signed({ id: 'a' })}`,
      headers: { 'accept-encoding': 'gzip' },
    })
    expect(small.headers['content-encoding']).toBeUndefined()
  })
})

describe('who may call, in the order of the checks', () => {
  test.each([
    ['no key', 'format=json', 400, { error: 2, errormsg: 'Missing required parameter: api_key' }],
    [
      'a key that is a list',
      'format=json&api_key[]=x',
      400,
      { error: 2, errormsg: 'Missing required parameter: api_key' },
    ],
    ['an unknown key', 'format=json&api_key=nobody', 401, { error: 3, errormsg: 'Invalid API key: nobody' }],
    ['no signature', `format=json&api_key=${key}`, 400, { error: 2, errormsg: 'Missing required parameter: sig' }],
    [
      'a wrong signature',
      `${signed({ id: 'a' }).slice(0, -1)}x`,
      401,
      { error: 5, errormsg: 'Authentication failed: Signature hash does not match' },
    ],
    [
      'something else signed',
      signed({ id: 'a' }).replace('format=json', 'format=json&more=1'),
      401,
      { error: 5, errormsg: 'Authentication failed: Signature hash does not match' },
    ],
  ])('%s', async (_, wire, status, body) => {
    const get = await call('GET', 'user', wire)
    expect({ status: get.status, body: get.body }).toEqual({ status, body })
    expect(await call('POST', 'user', wire)).toMatchObject({ status, body })
    expect(get.headers.has('x-rate-limit-limit')).toBe(false)
  })

  test('nothing at all: error 2 in XML', async () => {
    expect(await call('GET', 'user', '')).toMatchObject({
      status: 400,
      text: expect.stringContaining('<triggermail><error>2</error>'),
    })
  })

  test('a source address that is not on the allowlist, before the signature', async () => {
    const strict = await serve({ allowsAddress: createAddressAllowlist(['192.0.2.0/24']) })
    const wire = `format=json&api_key=${key}`
    expect(await call('GET', 'user', wire, {}, strict)).toMatchObject({
      status: 403,
      body: { error: 4, errormsg: 'Disallowed IP: 127.0.0.1' },
    })
    await strict.close()
  })

  test('methods and endpoints, after the signature', async () => {
    for (const method of ['PUT', 'PATCH', 'OPTIONS']) {
      expect((await server.app.inject({ method: method as 'PUT', url: '/user?format=json' })).json()).toMatchObject({
        error: 2,
      })
      const refused = await server.app.inject({ method: method as 'PUT', url: `/user?${signed({ id: 'a' })}` })
      expect(refused.statusCode).toBe(405)
      expect(refused.headers.allow).toBe('GET, POST, DELETE')
      expect(refused.json()).toEqual({ error: 1, errormsg: `Unsupported method: ${method} is not supported by /user` })
    }
    expect((await server.app.inject({ method: 'HEAD', url: `/user?${signed({ id: 'a' })}` })).statusCode).toBe(405)
    expect(await call('GET', 'send', signed({}))).toMatchObject({ status: 405, body: { error: 1 } })
    expect(await call('GET', 'foo', signed({}))).toMatchObject({
      status: 404,
      body: { error: 99, errormsg: 'Unknown endpoint: foo' },
    })
    expect(await call('POST', 'foo', `${signed({})}x`)).toMatchObject({ status: 401, body: { error: 5 } })
    expect(await call('GET', 'favicon.ico', '')).toMatchObject({ status: 404 })
    expect(await call('GET', 'us%zz', '')).toMatchObject({
      status: 404,
      body: { error: 99, errormsg: 'Unknown endpoint: us%zz' },
    })
    for (const path of ['__proto__', 'constructor', 'toString']) {
      expect(await call('GET', path, signed({}))).toMatchObject({ status: 404, body: { error: 99 } })
    }
  })
})

describe('bodies that cannot be read', () => {
  test.each([
    [
      'JSON instead of a form',
      '{"id":"a"}',
      { 'content-type': 'application/json' },
      400,
      { error: 2, errormsg: 'Missing required parameter: api_key' },
    ],
    [
      'no JSON in json',
      signed('format=json&json={'),
      {},
      400,
      { error: 99, errormsg: 'Invalid JSON in parameter: json' },
    ],
    ['Latin-1', 'format=json&name=%EB', {}, 400, { error: 42, errormsg: 'Invalid UTF-8 characters for field: name' }],
    [
      'NUL',
      signed({ id: '\0' }),
      {},
      400,
      { error: 99, errormsg: 'Parameter holds a NUL character, which cannot be stored: id' },
    ],
    ['depth', signed(`format=json&json={"a":${'['.repeat(40)}${']'.repeat(40)}}`), {}, 400, { error: 99 }],
    [
      'too many parameters',
      `format=json&${'a&'.repeat(10_001)}`,
      {},
      400,
      { error: 99, errormsg: 'More than 10000 parameters' },
    ],
    ['multipart without boundary', 'x', { 'content-type': 'multipart/form-data' }, 400, { error: 99 }],
    ['a broken content type', 'x', { 'content-type': 'no/such/type; =' }, 400, { error: 99 }],
  ])('%s', async (_, wire, headers, status, body) => {
    expect(await call('POST', 'user', wire, headers)).toMatchObject({ status, body })
  })

  test('too large, announced or not', async () => {
    const small = await serve({ bodyLimit: 1000 })
    const body = { error: 99, errormsg: 'Request body is larger than 1000 bytes' }
    expect(await call('POST', 'user', signed({ id: 'x'.repeat(1000) }), {}, small)).toMatchObject({ status: 413, body })
    const chunks = `3e9\r\n${'x'.repeat(1001)}\r\n0\r\n\r\n`
    expect(
      await raw(small.port, `POST /user HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`),
    ).toContain(body.errormsg)
    await small.close()
  })
})

describe('uploads', () => {
  const upload = (path: string, params: Record<string, unknown>, content: string) => {
    const data = new FormData()
    for (const [name, value] of new URLSearchParams(signed(params))) data.append(name, value)
    data.append('file', new Blob([content], { type: 'application/octet-stream' }), 'people.csv')
    return fetch(`${server.url}/${path}`, { method: 'POST', body: data })
  }

  test('reach the endpoint, leave nothing behind, and hide the local path', async () => {
    const response = await upload('job', { job: 'import', file: '/home/me/people.csv' }, 'ada@example.com')
    expect(await response.json()).toEqual({ params: { job: 'import' }, name: 'people.csv', content: 'ada@example.com' })
    expect(server.spooled()).toEqual([])
  })

  test('to other endpoints are dropped', async () => {
    const response = await upload('user', { id: 'a' }, 'ada@example.com')
    expect(await response.json()).toEqual({ ok: true, saved: { id: 'a' } })
  })

  test('too large', async () => {
    const response = await upload('job', { job: 'import' }, 'x'.repeat(100_001))
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 413,
      body: { error: 99, errormsg: 'File is larger than 100000 bytes' },
    })
    expect(server.spooled()).toEqual([])
  })
})

describe('failures of our own', () => {
  test.each(['throws', 'rejects', 'empty', 'error', 'cannot be encoded'])(
    'an endpoint that %s: error 9, told to the log only',
    async (how) => {
      const { status, body, text } = await call('GET', 'stats', signed({ how }))
      expect({ status, body }).toEqual({
        status: 500,
        body: { error: 9, errormsg: 'Internal Error: the request was probably not saved, try again' },
      })
      expect(text).not.toMatch(/at |secret/)
      expect(server.log.at(-1)).toContain('API call failed')
    },
  )

  test('keys that cannot be looked up', async () => {
    const down = await serve({ keys: { find: () => Promise.reject(new Error('connect ECONNREFUSED')) } })
    expect(await call('GET', 'user', signed({}), {}, down)).toMatchObject({ status: 500, body: { error: 9 } })
    await down.close()
  })

  test('signed queries never reach the log', () => {
    const signature = /[?&](?:sig|json|api_key)=/
    expect(server.log.filter((line) => signature.test(line))).toEqual([])
  })
})

describe('HTTP as old clients speak it', () => {
  const post = (version: string, more: string, wire = signed({ id: 'a' })) =>
    `POST /user HTTP/${version}\r\nHost: x\r\n${more}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${wire.length}\r\n\r\n${wire}`

  test('rate limit headers in exactly this case', async () => {
    const answer = await raw(server.port, post('1.1', 'Connection: close\r\n'))
    expect(answer).toMatch(
      /\r\nX-Rate-Limit-Limit: 18000\r\nX-Rate-Limit-Remaining: \d+\r\nX-Rate-Limit-Reset: \d{10}\r\n/,
    )
  })

  test('HTTP/1.0', async () => {
    const answer = await raw(server.port, post('1.0', ''))
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toMatch(/\r\ncontent-length: \d+\r\n/i)
    expect(answer).not.toMatch(/transfer-encoding/i)
  })

  test('Expect: 100-continue', async () => {
    const answer = await raw(server.port, post('1.1', 'Connection: close\r\nExpect: 100-continue\r\n'))
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  })
})

test('rate limits: refused with 43 beyond the limit, headers always, next minute again', async () => {
  const limited = await serve({
    rateLimits: { enabled: true, perSecond: { GET: 1, POST: 1, DELETE: 1 }, exceptions: { 'GET user': 0.05 } },
  })
  const get = async () => {
    const { status, body, headers } = await call('GET', 'user', signed({ id: 'a' }), {}, limited)
    const rate = ['limit', 'remaining', 'reset'].map((name) => Number(headers.get(`x-rate-limit-${name}`)))
    return { status, error: body.error, message: body.errormsg, rate }
  }
  const reset = Date.parse('2030-03-05T12:01:00Z') / 1000
  expect(await get()).toMatchObject({ status: 200, rate: [3, 2, reset] })
  await get()
  expect(await get()).toMatchObject({ status: 200, rate: [3, 0, reset] })
  expect(await get()).toEqual({
    status: 429,
    error: 43,
    message: 'Too many GET requests this minute to /user API',
    rate: [3, 0, reset],
  })
  limited.clock.advance(60_000)
  expect(await get()).toMatchObject({ status: 200, rate: [3, 2, reset + 60] })
  await limited.close()
})

test('an allowlist takes addresses and ranges of both families', () => {
  const allows = createAddressAllowlist(['192.0.2.7', '198.51.100.0/24', '2001:db8::/32'])
  expect(['192.0.2.7', '::ffff:192.0.2.7', '198.51.100.99', '2001:db8::1'].map(allows)).toEqual([
    true,
    true,
    true,
    true,
  ])
  expect(['192.0.2.8', '::ffff:192.0.2.8', '2001:db9::1', 'nonsense', ''].map(allows)).toEqual([
    false,
    false,
    false,
    false,
    false,
  ])
  for (const entry of ['example.com', '1.2.3.4/33', '1.2.3.4/x', '']) {
    expect(() => createAddressAllowlist([entry])).toThrow('Not an address or CIDR range')
  }
})

test('the secret is never shown', async () => {
  expect((await call('GET', 'stats', signed({ how: 'throws' }))).text).not.toContain(secret)
})
