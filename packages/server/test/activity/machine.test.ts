import { expect, test } from 'vitest'
import { burstsIn, type Clicked, isMachine, MACHINE, scoreOf } from '../../src/activity/machine.ts'

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148'
const GMAIL = 'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)'
const person = { method: 'GET', userAgent: FIREFOX, acceptLanguage: 'de', purpose: undefined }
const at = new Date('2030-03-05T12:00:00Z')
const after = (milliseconds: number) => new Date(at.getTime() + milliseconds)

test.each([
  ['a person', {}, false],
  ['a person with a phone', { userAgent: IPHONE }, false],
  ['HEAD', { method: 'HEAD' }, true],
  ['a prefetching browser', { purpose: 'prefetch;prerender' }, true],
  ['an older one', { purpose: 'preview' }, true],
  ['a browser with another purpose', { purpose: 'navigate' }, false],
  ['nobody in particular', { userAgent: '' }, true],
  ['a bare product', { userAgent: 'Mozilla/5.0' }, true],
  ['a library', { userAgent: 'python-requests/2.32' }, true],
  ['a crawler', { userAgent: 'Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)' }, true],
  ['a preview of a chat', { userAgent: 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)' }, true],
  ['a gateway', { userAgent: 'Mozilla/5.0 (Windows NT 10.0) BarracudaSentinel (EE)' }, true],
  ['a browser without windows', { userAgent: 'Mozilla/5.0 (X11) AppleWebKit/537.36 HeadlessChrome/138.0' }, true],
])('a click of %s', (_, change, machine) => {
  expect(scoreOf('click', { ...person, ...change }) >= MACHINE).toBe(machine)
})

test.each([
  ['a mail program that loads pictures', IPHONE, false],
  ['a mail service on behalf of a person', GMAIL, false],
  ['the proxy that fetches every picture on arrival', 'Mozilla/5.0', true],
  ['a crawler', 'Googlebot-Image/1.0', true],
  ['nobody in particular', '', true],
])('an open by %s', (_, userAgent, machine) => {
  expect(scoreOf('open', { ...person, acceptLanguage: undefined, userAgent }) >= MACHINE).toBe(machine)
})

test('a click within seconds of the delivery counts against a visitor who says no language, and only then', () => {
  const silent = scoreOf('click', { ...person, acceptLanguage: undefined })
  expect(isMachine('click', silent, after(9_999), at)).toBe(true)
  expect(isMachine('click', silent, after(10_000), at)).toBe(false)
  expect(isMachine('click', silent, after(1), null)).toBe(false)
  expect(isMachine('click', 0, after(1), at)).toBe(false)
  expect(isMachine('open', 0, after(1), at)).toBe(false)
})

test('three different links within two seconds are a burst', () => {
  const click = (id: number, link: number | null, milliseconds: number, url: string | null = null): Clicked => ({
    id,
    link,
    url,
    at: after(milliseconds),
  })
  const bursts = (...clicks: Clicked[]) => [...burstsIn(clicks)].sort()
  expect(bursts(click(1, 0, 0), click(2, 1, 900), click(3, 2, 2_000))).toEqual([1, 2, 3])
  expect(bursts(click(3, 2, 2_001), click(1, 0, 0), click(2, 1, 900))).toEqual([])
  expect(bursts(click(1, 0, 0), click(2, 0, 1), click(3, 1, 2), click(4, 1, 3))).toEqual([])
  expect(bursts(click(1, null, 0, 'a'), click(2, null, 1, 'b'), click(3, null, 2, 'c'), click(4, 0, 60_000))).toEqual([
    1, 2, 3,
  ])
  expect(bursts(click(1, 0, 0), click(2, 1, 1_500), click(3, 2, 3_000), click(4, 3, 3_100))).toEqual([2, 3, 4])
})
