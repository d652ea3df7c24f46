import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manageHash } from '../../src/links/manage-hash.ts'
import { launchBrowser } from '../support/browser.ts'
import { openPages, type PageHouse, type Reader, secret } from './support.ts'

let house: PageHouse
let browser: Browser
beforeAll(async () => {
  house = await openPages({ listen: true })
  browser = await launchBrowser()
  await house.services.lists.save({ name: 'weekly' }, { isPrimary: true, publicName: 'The Harbor Weekly' })
  await house.services.lists.save(
    { name: 'deck' },
    { isPrimary: true, publicName: 'Deck Notes: tides, weather & timetables' },
  )
})
afterAll(async () => {
  await browser?.close()
  await house?.close()
})

interface AxeResult {
  violations: Array<{ id: string; nodes: Array<{ html: string }> }>
}

/** Set to a folder, the states are photographed into it. */
const shots = process.env.PAGE_SHOTS
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const refuse = (id: number, to: 'blast' | 'basic' | 'all', via: 'api' | 'one_click' = 'api') =>
  house.change(id, { level: { to, mode: 'set' } }, via)

const LOOKS = [
  { name: 'desktop', viewport: { width: 1000, height: 800 }, colorScheme: 'light' },
  { name: 'phone', viewport: { width: 375, height: 812 }, colorScheme: 'light' },
  { name: 'phone-dark', viewport: { width: 375, height: 812 }, colorScheme: 'dark' },
] as const

/** Looks at a page in every guise: no violation of WCAG 2.2 AA, nothing refused by its own policy, nothing cut off. */
async function inspect(path: string, state: string): Promise<void> {
  for (const look of LOOKS) {
    const page = await pageFor(look)
    await page.goto(house.url + path)
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth'), state).toBe(true)
    if (shots) {
      mkdirSync(shots, { recursive: true })
      await page.screenshot({ path: `${shots}/${state}-${look.name}.png`, fullPage: true })
    }
    if (look.name === 'desktop') continue
    await page.addScriptTag({ path: axe })
    const { violations } = await page.evaluate<AxeResult>('axe.run()')
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join()}`)
    expect(found, `${state} ${look.name}`).toEqual([])
  }
}

const pages = new Map<string, Promise<Page>>()

/** Axe is a script, which the page's policy forbids: it comes in from outside the page. */
function pageFor(look: (typeof LOOKS)[number]): Promise<Page> {
  const open = pages.get(look.name) ?? browser.newPage({ ...look, bypassCSP: true })
  pages.set(look.name, open)
  return open
}

/** A page as it is served, policy in force, scripts off. */
async function visit(path: string): Promise<{ page: Page; complaints: string[]; close(): Promise<void> }> {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 390, height: 844 } })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('request', (request) => {
    if (!request.url().startsWith(house.url)) complaints.push(`asked for ${request.url()}`)
  })
  await page.goto(house.url + path)
  return { page, complaints, close: () => context.close() }
}

const confirmPath = (reader: Reader, lists: number[] | null) => house.confirmPath(reader, lists)

describe('the pages in a browser', () => {
  test('every state is readable, accessible and fits a phone', async () => {
    const ids = await house.services.lists.find(['weekly', 'deck'])
    const ada = await house.reader('ada', { lists: new Map([[ids.get('weekly')!, true]]) })
    await inspect(ada.oc, 'in')
    for (const level of ['blast', 'basic', 'all'] as const) {
      const out = await house.reader(`out-${level}`)
      await refuse(out.id, level, level === 'all' ? 'one_click' : 'api')
      await inspect(out.oc, `out-${level}`)
    }
    const bounced = await house.reader('bounced')
    await house.bounce(bounced.email)
    await inspect(bounced.oc, 'hardbounce')
    const complained = await house.reader('complained')
    await house.change(complained.id, { complaint: true }, 'complaint')
    await inspect(complained.oc, 'complained')
    const asked = await (await house.get(complained.oc)).submit()
    await inspect(asked.location!, 'confirm-sent')

    const saved = await (await house.get(ada.oc)).submit({ 'lists[weekly]': null, 'lists[deck]': '1', optout: 'basic' })
    await inspect(saved.location!, 'saved')
    const undone = await (await house.get(saved.location!)).submit()
    await inspect(undone.location!, 'undone')
    house.clock.advance(1_000)
    await refuse(ada.id, 'all')
    house.clock.advance(1_000)
    const back = await (await house.get(ada.oc)).submit()
    await inspect(back.location!, 'back')

    await inspect(await confirmPath(ada, [...ids.values()]), 'confirm-lists')
    await refuse(ada.id, 'all')
    house.clock.advance(1_000)
    const path = await confirmPath(ada, null)
    await inspect(path, 'confirm-optin')
    const done = await (await house.get(path)).submit()
    await inspect(done.location!, 'thanks')
    await inspect(path, 'confirmed')
    await inspect('/oc/1-1/nothing', 'invalid')
    await inspect('/page/nothing', 'unknown')
    const early = await confirmPath(ada, null)
    house.clock.advance(1_000)
    await refuse(ada.id, 'all')
    await inspect(early, 'stale-link')
  })

  test('so is every page about addresses and links that do not work', async () => {
    const eve = await house.reader('eve')
    const asked = await (await house.get(eve.oc)).submit({ new_email: 'eve@example.org' }, 1)
    await inspect(asked.location!, 'address-sent')
    const refused = await (await house.get(eve.oc)).submit({ new_email: 'eve' }, 1)
    await inspect(refused.location!, 'address-invalid')
    await inspect(await house.linkIn('Confirm Address', 'address_url'), 'address-take')
    const keep = await house.linkIn('Address Change Notice', 'address_url')
    await inspect(keep, 'address-keep')
    await (await house.get(keep)).submit()
    await inspect(keep, 'address-kept')
    const notMe = await confirmPath(eve, null)
    await (await house.get(notMe)).submit({ not_me: '1' }, 1)
    await inspect(notMe, 'denied')

    const seconds = Math.floor(house.clock.now().getTime() / 1000)
    const hash = manageHash('manage', eve.email, seconds - 1, secret)
    await inspect(`/manage/manage?email=${eve.email}&hash=${hash}`, 'expired')
    const gone = await house.reader('gone')
    await house.change(gone.id, { erase: true })
    await inspect(gone.oc, 'erased')
    const old = await house.reader('old')
    const page = await browser.newPage(LOOKS[1])
    await page.goto(house.url + old.oc)
    house.clock.advance(25 * 3_600_000)
    await page.getByLabel('Stop marketing').check()
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('This page was open for a long time.').waitFor()
    if (shots) await page.screenshot({ path: `${shots}/late-phone.png`, fullPage: true })
    await page.close()
  })

  test('leaving, undoing and coming back work by keyboard, without scripts, under the strict policy', async () => {
    const bea = await house.reader('bea')
    const { page, complaints, close } = await visit(bea.oc)
    await page.getByLabel('Stop everything').focus()
    await page.keyboard.press('Space')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'All email is switched off' }).waitFor()
    expect(await house.level(bea.id)).toBe('all')

    await page.getByRole('button', { name: 'Undo' }).press('Enter')
    await page.getByText('The change has been taken back.').waitFor()
    expect(await house.level(bea.id)).toBe('none')

    house.clock.advance(1_000)
    await refuse(bea.id, 'all')
    house.clock.advance(1_000)
    await page.getByRole('link', { name: 'Change something else' }).press('Enter')
    await page.getByRole('button', { name: 'Turn email back on' }).press('Enter')
    await page.getByRole('heading', { name: 'Email is back on' }).waitFor()
    expect(await house.level(bea.id)).toBe('none')
    expect(complaints).toEqual([])
    await close()
  })

  test('a confirmation is one press, and ends in thanks', async () => {
    const cas = await house.reader('cas')
    const ids = await house.services.lists.find(['weekly'])
    const { page, complaints, close } = await visit(await confirmPath(cas, [...ids.values()]))
    expect(await house.lists(cas.id)).toEqual([])
    await page.getByRole('button', { name: 'Yes, subscribe' }).click()
    await page.getByRole('heading', { name: 'You are subscribed' }).waitFor()
    expect(await house.lists(cas.id)).toEqual(['weekly'])
    expect(complaints).toEqual([])
    await close()
  })

  test('a link that does not work leads to a fresh one', async () => {
    const { page, complaints, close } = await visit('/oc/1-1/nothing')
    await page.getByLabel('Your email address').fill('nobody@example.com')
    await page.getByRole('button', { name: 'Send me a link' }).press('Enter')
    await page.getByRole('heading', { name: 'Look into your mailbox' }).waitFor()
    expect(complaints.filter((one) => !one.includes('404'))).toEqual([])
    await close()
  })

  test('with confirm_mode auto the first move of a person presses the button, and only that', async () => {
    await house.setting('confirm_mode', 'auto')
    const fay = await house.reader('fay')
    const ids = await house.services.lists.find(['weekly'])
    const path = await confirmPath(fay, [...ids.values()])
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    await page.clock.install()
    await page.goto(house.url + path)
    // The script takes no move for a person's in the first moments.
    await page.clock.fastForward(900)
    await page.evaluate("document.dispatchEvent(new PointerEvent('pointermove'))")
    expect(await house.lists(fay.id)).toEqual([])
    await page.mouse.move(40, 40)
    await page.getByRole('heading', { name: 'You are subscribed' }).waitFor()
    expect(await house.lists(fay.id)).toEqual(['weekly'])
    expect(complaints).toEqual([])
    await page.close()
    await house.setting('confirm_mode', 'button')
  })

  test("an account's own page runs no scripts and loads nothing", async () => {
    await house.put(
      'optout',
      `<!DOCTYPE html><html lang="en"><head><title>Own</title><style>h1{color:rgb(1,2,3)}</style></head><body>
      <h1 style="margin:3px">Own page</h1><script>document.title='ran'</script>
      <img src="https://example.org/x.png" alt=""><form method="post"><button name="optout_all" value="1">Out</button></form>
      </body></html>`,
    )
    const dan = await house.reader('dan')
    const context = await browser.newContext()
    const page = await context.newPage()
    const loaded: string[] = []
    page.on('requestfinished', (request) => loaded.push(request.url()))
    await page.goto(house.url + dan.oc)
    expect(await page.title()).toBe('Own')
    expect(await page.evaluate("getComputedStyle(document.querySelector('h1')).color")).toBe('rgb(1, 2, 3)')
    expect(loaded).toEqual([house.url + dan.oc])
    await page.getByRole('button', { name: 'Out' }).click()
    await page.getByRole('heading', { name: 'All email is switched off' }).waitFor()
    expect(await house.level(dan.id)).toBe('all')
    await context.close()
  })
})
