import { hash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../src/platform/database.ts'
import { linkIn, readMail } from '../support/mail.ts'
import { changes, contentsOf, WRITTEN_BY_WORKERS } from '../support/tables.ts'
import { startWorld, type World } from './support.ts'

/* Mail scanners, previews and prefetching browsers open every link. None of that may change anything. */

const ROUNDS = 20
const EMAIL = 'ada@example.com'

let world: World
let db: Database
let urls: string[]
beforeAll(async () => {
  world = await startWorld()
  db = world.db
  await world.command(['page', 'put', 'preferences', 'FILE'], OWN_PAGE)
  await world.post('user', { id: EMAIL, key: 'email', vars: { name: 'Ada' }, lists: { Weekly: 1 } })
  const news = await world.nextMail(EMAIL, () => world.sendError('News', EMAIL))
  await world.setLevel(EMAIL, 'all')
  const confirmation = await world.nextMail(EMAIL, () => world.sendError('Opt-in Confirm', EMAIL))
  const oneClick = /<(http[^>]+)>/.exec((await readMail(news)).headers.get('list-unsubscribe') ?? '')![1]!
  const [oc, confirm] = [await linkIn(news, '/oc/'), await linkIn(confirmation, '/s/')]
  urls = [
    oc,
    `${oc}&optin=1&optout=none&optout_all=1`,
    oc.replace(/\?.*/, '&source=mail&optin=1'),
    confirm,
    `${confirm}?confirm=1`,
    oneClick,
    `${oneClick}?List-Unsubscribe=One-Click`,
    ...[oc, confirm, oneClick].map(forged),
    ...[
      '/',
      '/healthz',
      '/docs',
      '/openapi.json',
      '/optout',
      '/preferences',
      '/page/signup-confirm',
      '/page/nowhere',
      '/manage/optout',
      '/nothing/here',
      `/manage/preferences?email=${EMAIL}&hash=${md5(EMAIL + world.fairlead.secret)}&optin=1`,
      `/manage/optout?email=${EMAIL}&hash=${md5(EMAIL + world.fairlead.secret)}&optout_email=none`,
      `/manage/optout?email=${EMAIL}&hash=00000000000000000000000000000000&optin=1`,
      `/user?id=${EMAIL}&optout_email=none`,
      '/send?template=News',
      '/list',
      '/template?template=News',
      '/settings',
      '/purchase',
      '/email',
    ].map((path) => world.fairlead.url + path),
  ]
})
afterAll(async () => {
  await world?.close()
})

const OWN_PAGE = `<html><body><form method="post">{if profile.optout=="all"}<button name="optin" value="1">Back</button>
{else}<button name="optout_all" value="1">Stop</button>{/if}</form></body></html>`

/** The same link with another proof. */
function forged(url: string): string {
  const at = url.replace(/\?.*/, '').length - 3
  return url.slice(0, at) + (url[at] === 'a' ? 'b' : 'a') + url.slice(at + 1)
}

const md5 = (text: string) => hash('md5', text, 'hex')

/** Every row of every table, but for what the worker writes without being asked. */
const contents = () => contentsOf(db, WRITTEN_BY_WORKERS)

test.each(['GET', 'HEAD', 'OPTIONS'])('%s on every public address changes nothing', async (method) => {
  await world.quiet()
  const before = await contents()
  expect(before.get('consent_ledger')).not.toEqual([])
  const seen = new Map<string, number>()
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(
      urls.map(async (url) => {
        const answer = await fetch(url, { method, redirect: 'manual', headers: { 'user-agent': 'LinkScanner/1.0' } })
        await answer.arrayBuffer()
        seen.set(url, answer.status)
      }),
    )
  }
  expect(changes(before, await contents())).toEqual([])
  // Nothing broke on the way, so nothing was left undone for that reason.
  expect([...seen].filter(([, status]) => status >= 500)).toEqual([])
})

test('signed calls that read change nothing', async () => {
  await world.quiet()
  const before = await contents()
  for (const [endpoint, params] of [
    ['user', { id: EMAIL, key: 'email' }],
    ['user', { id: 'stranger@example.com', key: 'email', optout_email: 'none', vars: { a: 1 }, lists: { New: 1 } }],
    ['list', { list: 'Weekly' }],
    ['list', { list: 'Never seen' }],
    ['template', { template: 'News' }],
    ['email', { email: EMAIL, optout: 'none' }],
    ['settings', {}],
  ] as const) {
    await world.client.get(endpoint, params)
  }
  expect(changes(before, await contents())).toEqual([])
})

test('a forged link does nothing when it is posted to, either', async () => {
  await world.quiet()
  const before = await contents()
  for (const url of urls.slice(7, 10)) {
    const body = new URLSearchParams({ confirm: '1', optin: '1', optout: 'none', 'List-Unsubscribe': 'One-Click' })
    const { status } = await fetch(url, { method: 'POST', body, redirect: 'manual' })
    expect(status, url).toBe(404)
  }
  expect(changes(before, await contents())).toEqual([])
})
