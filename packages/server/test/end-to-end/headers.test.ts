import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULT_HEADERS } from '../../src/roles/default-headers.ts'
import { type House, key, openHouse } from '../endpoints/support.ts'
import { openTracking } from '../tracking/support.ts'

/* Every answer of the public port tells browsers the same: run nothing, guess nothing, keep nothing, pass nothing on. */

let house: House
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

/** What a raw request is answered with: status and headers by lower-case name. */
async function raw(request: string): Promise<{ status: number; headers: Map<string, string> }> {
  const socket = connect(house.port, '127.0.0.1')
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    if (text.includes('\r\n\r\n')) socket.destroy()
  })
  socket.write(request)
  await once(socket, 'close')
  const [first = '', ...lines] = text.split('\r\n\r\n')[0]!.split('\r\n')
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  return { status: Number(first.split(' ')[1]), headers }
}

function expectHeaders({ headers }: { headers: Map<string, string> }, what: string): void {
  for (const name of Object.keys(DEFAULT_HEADERS)) expect(headers.has(name), `${what}: ${name}`).toBe(true)
  expect(headers.get('x-content-type-options'), what).toBe('nosniff')
  expect(headers.get('referrer-policy'), what).toBe('no-referrer')
  expect(headers.get('cache-control'), what).toContain('no-store')
  const policy = headers.get('content-security-policy')
  // A message in the browser may show its pictures; nothing else may load or run anything.
  expect(policy, what).toMatch(/default-src 'none'/)
  expect(policy, what).toMatch(/frame-ancestors 'none'/)
}

const request = (method: string, path: string, more = '', body = '') =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\n${body ? `Content-Length: ${body.length}\r\n` : ''}${more}\r\n${body}`

/** Addresses of all routes that the listener has, with something in the place of their parameters. */
function routes(): Array<{ path: string; methods: string[] }> {
  const printed = house.app.printRoutes({ commonPrefix: false })
  const found: Array<{ path: string; methods: string[] }> = []
  const parents: string[] = []
  for (const line of printed.split('\n')) {
    const [, indent, path, methods] = /^((?:[│ ] {3})*)[├└]── (\S*) ?(?:\(([A-Z, ]+)\))?/.exec(line) ?? []
    if (path === undefined || indent === undefined) continue
    const depth = indent.length / 4
    parents[depth] = path
    const whole = parents.slice(0, depth + 1).join('')
    if (methods) found.push({ path: whole.replace(/:\w+/g, 'x').replace(/\*/g, 'x/y'), methods: methods.split(', ') })
  }
  return found
}

test('all routes by all methods', async () => {
  const all = routes()
  expect(all.map(({ path }) => path)).toEqual(expect.arrayContaining(['/healthz', '/user', '/docs', '/']))
  expect(all.length).toBeGreaterThan(15)
  for (const { path } of all) {
    for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS', 'TRACE']) {
      expectHeaders(await raw(request(method, path)), `${method} ${path}`)
    }
  }
})

test.each([
  ['API answers', request('GET', `/user?api_key=${key}&format=json`), 400],
  ['the same in XML', request('GET', `/user?api_key=${key}&format=xml`), 400],
  ['wrong keys', request('GET', '/user?api_key=x'), 401],
  ['other formats', request('GET', `/user?api_key=${key}&format=yaml&sig=x`), 401],
  ['unknown addresses', request('GET', '/nowhere/at/all'), 404],
  ['addresses that cannot be decoded', request('GET', '/%zz'), 404],
  ['methods that nobody knows here', request('PROPFIND', '/user'), 400],
  ['no methods at all', request('NONSENSE', '/user'), 400],
  ['bodies too large for the API', request('POST', '/user', 'Content-Length: 99999999\r\n'), 413],
  ['bodies too large for a page', request('POST', '/oc/x', 'Content-Length: 99999999\r\n'), 413],
  ['bodies of an unknown kind', request('POST', '/user', 'Content-Type: image/png\r\n', 'x'), 400],
  ['multipart without a boundary', request('POST', '/user', 'Content-Type: multipart/form-data\r\n', 'x'), 400],
  ['JSON bodies', request('POST', '/user', 'Content-Type: application/json\r\n', '{}'), 400],
  ['malformed requests', 'GET / HTTP/9.9\r\n\r\n', 400],
  ['what is no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['headers that are too large', request('GET', '/', `X: ${'x'.repeat(40_000)}\r\n`), 431],
  ['expectations', request('POST', '/user', 'Expect: a-miracle\r\n', 'x'), 417],
  ['a length that is none', request('POST', '/user', 'Content-Length: many\r\n'), 400],
  ['both lengths', request('POST', '/user', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n'), 400],
])('%s', async (what, text, status) => {
  const answer = await raw(text)
  expectHeaders(answer, what)
  expect(answer.status, what).toBe(status)
})

test('answers while the database is away', async () => {
  const away = await openHouse()
  await away.db.destroy()
  for (const path of ['/healthz', '/user?api_key=x', '/oc/x', '/docs']) {
    const response = await fetch(`${away.url}${path}`)
    expectHeaders({ headers: new Map(response.headers) }, path)
  }
  await away.app.close()
})

test('redirects, pixels and messages in the browser', async () => {
  const tracking = await openTracking()
  try {
    const mail = await tracking.mail('ada@example.com', {
      content_html:
        '<a href="https://a.example/">1</a> <a href="{view_url}">2</a> <a href="{optout_confirm_url}">3</a>',
    })
    for (const url of [mail.link(0), mail.link(1), `${mail.link(1)}/text`, mail.link(2), mail.pixel!]) {
      const response = await fetch(url, { redirect: 'manual' })
      expect(response.status, url).toBeLessThan(400)
      expectHeaders({ headers: new Map(response.headers) }, url)
    }
  } finally {
    await tracking.close()
  }
})
