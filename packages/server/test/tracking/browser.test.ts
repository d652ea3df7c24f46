import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchBrowser } from '../support/browser.ts'
import { openTracking, startSite, type TrackingHouse } from './support.ts'

let house: TrackingHouse
let browser: Browser
let shop: Awaited<ReturnType<typeof startSite>>
beforeAll(async () => {
  house = await openTracking()
  browser = await launchBrowser()
  shop = await startSite('<h1>The shop</h1>')
})
afterAll(async () => {
  await browser?.close()
  await house?.close()
  await shop?.close()
})

test('from webmail to the shop: the pixel is seen, the click leads on, and the shop learns of neither', async () => {
  const mail = await house.mail('web@example.com', { content_html: `<a href="${shop.url}/rope?a=1&amp;b=2">Rope</a>` })
  const webmail = await startSite(`<title>Inbox</title>${mail.html}`)
  const page = await browser.newPage()
  await page.goto(`${webmail.url}/inbox`)
  await page.getByRole('link', { name: 'Rope' }).click()
  await page.getByRole('heading', { name: 'The shop' }).waitFor()
  expect(page.url()).toBe(`${shop.url}/rope?a=1&b=2`)
  expect(await page.evaluate('document.referrer')).toBe('')
  expect(shop.visits.at(-1)!.headers.referer).toBeUndefined()
  const events = await house.events(mail.messageId, 2)
  expect(events.map(({ type, url }) => [type, url])).toEqual([
    ['open', null],
    ['click', `${shop.url}/rope?a=1&b=2`],
  ])
  await page.close()
  await webmail.close()
})

test('the message in the browser looks as mailed, runs no script, and its links work', async () => {
  const mail = await house.mail(
    'look@example.com',
    {
      content_html:
        `<html><body style="background:rgb(1, 2, 3)"><h1 onclick="document.title='run'">Hello {first_name}</h1>` +
        `<script>document.title = 'run'</script><a href="${shop.url}/view">Shop</a>` +
        `<a href="${shop.url}/blank" target="_blank">New</a><a href="{view_url}">View</a></body></html>`,
    },
    { vars: { first_name: 'Ada' } },
  )
  const page = await browser.newPage()
  await page.goto(mail.links.find((link) => link.includes('/v/'))!)
  await page.getByRole('heading', { name: 'Hello Ada' }).click()
  expect(await page.title()).toBe('')
  expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(1, 2, 3)')
  const [opened] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: 'New' }).click()])
  await opened.getByRole('heading', { name: 'The shop' }).waitFor()
  await page.getByRole('link', { name: 'Shop' }).click()
  await page.getByRole('heading', { name: 'The shop' }).waitFor()
  expect(shop.visits.slice(-2).map(({ headers }) => headers.referer)).toEqual([undefined, undefined])
  await page.close()
})

test('a link that leaves a list: one button, then the shop; without it, the shop as well', async () => {
  await house.services.lists.ensure(['Daily'])
  const mail = await house.mail('leaver@example.com', {
    content_html: `<a href="${shop.url}/bye?sailthru_lists[Daily]=0">Leave</a>`,
  })
  const daily = (await house.services.lists.find(['Daily'])).get('Daily')!
  await house.change(mail.profileId, { lists: new Map([[daily, true]]) })
  const page = await browser.newPage({ javaScriptEnabled: false })
  await page.goto(mail.link(0))
  await page.getByRole('link', { name: 'Go on without changing anything' }).click()
  expect(page.url()).toBe(`${shop.url}/bye`)
  expect(await house.lists(mail.profileId)).toEqual(['Daily'])
  await page.goto(mail.link(0))
  await page.getByRole('button', { name: 'Change this and go on' }).click()
  await page.getByRole('heading', { name: 'The shop' }).waitFor()
  expect(page.url()).toBe(`${shop.url}/bye`)
  expect(await house.lists(mail.profileId)).toEqual([])
  expect(shop.visits.at(-1)!.headers.referer).toBeUndefined()
  await page.close()
})
