import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { secret } from '../pages/support.ts'
import { sailthruClient } from '../support/sailthru.ts'
import { changes, contentsOf, WRITTEN_BY_WORKERS } from '../support/tables.ts'
import { openTracking, type TrackingHouse } from './support.ts'

let house: TrackingHouse
beforeAll(async () => {
  house = await openTracking()
})
afterAll(() => house.close())

const targetOf = async (address: string) => (await house.visit(address)).headers.get('location')

/** Every row of every table but those that say what was seen, and what a worker writes without being asked. */
const consent = () => contentsOf(house.db, ['message_event', 'profile_activity', 'link_act', ...WRITTEN_BY_WORKERS])

describe('links', () => {
  test('of a mail lead where their author pointed, whatever the spelling and the place', async () => {
    const mail = await house.mail(
      'ada@example.com',
      {
        content_html: `<style>a[href="https://style.example/"]{color:red}</style>
          <a href="https://a.example/x?a=1&amp;b=2&c=3#top">1</a> <A HREF='http://b.example'>2</A>
          {if first_name}<a href="https://c.example/{u(first_name)}">3</a>{/if}
          {foreach items as item}<a href="{item}">4</a>{/foreach}
          <a href="https://d.example/${'x'.repeat(2_000)}">5</a>
          <map><area href="https://e.example/grüße?q=日本&amp;r=%22"></map>
          <!--[if mso]><a href="https://mso.example/">6</a><![endif]-->
          <a href="mailto:ada@example.com">7</a><a href="#x">8</a><a href="https://f.example/" clicktracking="off">9</a>
          <a href="{optout_confirm_url}">10</a><a href="{view_url}">11</a>`,
        content_text: 'See https://text.example/. Leave: {optout_confirm_url}',
      },
      { vars: { first_name: 'Ada L', items: ['https://one.example/', 'https://two.example/'] } },
    )
    const found = [...mail.html.matchAll(/href=["']([^"']*)["']/gi)].map(([, href]) => href!.replaceAll('&amp;', '&'))
    const places = await Promise.all(
      found.map(async (href) => (href.startsWith(`${house.url}/c/`) ? `→ ${await targetOf(href)}` : href)),
    )
    expect(places).toEqual([
      'https://style.example/',
      '→ https://a.example/x?a=1&b=2&c=3#top',
      '→ http://b.example/',
      '→ https://c.example/Ada+L',
      '→ https://one.example/',
      '→ https://two.example/',
      `→ https://d.example/${'x'.repeat(2_000)}`,
      '→ https://e.example/gr%C3%BC%C3%9Fe?q=%E6%97%A5%E6%9C%AC&r=%22',
      'https://mso.example/',
      'mailto:ada@example.com',
      '#x',
      'https://f.example/',
      expect.stringContaining(`${house.url}/oc/`),
      expect.stringContaining(`${house.url}/v/`),
    ])
    expect(await targetOf(/https?:\/\/\S+\/c\/[\w.-]+[\w-]/.exec(mail.text)![0])).toBe('https://text.example/')
    const events = await house.events(mail.messageId, 8)
    const clicks = new Map(events.map(({ url, link }) => [url, link]))
    // Both rounds of the loop are one link of the report; those of the text have no number.
    expect(clicks.get('https://one.example/')).toBe(clicks.get('https://two.example/'))
    expect(clicks.get('https://a.example/x?a=1&b=2&c=3#top')).toBe(0)
    expect(clicks.get('https://text.example/')).toBeNull()
    expect(events.every(({ type, machine }) => type === 'click' && !machine)).toBe(true)
  })

  test('are the author’s own where tracking is off', async () => {
    const mail = await house.mail('off@example.com', {
      is_link_tracking: false,
      content_html: '<a href="https://a.example/?sailthru_lists[X]=1">1</a>',
    })
    expect(mail.links[0]).toBe('https://a.example/?sailthru_lists[X]=1')
  })

  test("get the template's parameters", async () => {
    const mail = await house.mail('params@example.com', {
      content_html: '<a href="https://a.example/x#top">1</a>',
      link_params: { uid: '{md5(email)}', from: 'mail' },
    })
    expect(await targetOf(mail.link(0))).toMatch(/^https:\/\/a\.example\/x\?uid=[0-9a-f]{32}&from=mail#top$/)
  })

  test('pass nothing on to where they lead, and are kept nowhere', async () => {
    const mail = await house.mail('headers@example.com', { content_html: '<a href="https://a.example/">1</a>' })
    for (const method of ['GET', 'HEAD']) {
      const { status, headers } = await house.visit(mail.link(0), { method })
      expect(status).toBe(302)
      expect(headers.get('location')).toBe('https://a.example/')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('set-cookie')).toBeNull()
    }
    const events = await house.events(mail.messageId, 2)
    expect(events.map(({ machine }) => machine)).toEqual([false, true])
  })

  test('that were forged, cut or extended lead nowhere, by any method', async () => {
    const mail = await house.mail('forged@example.com', { content_html: '<a href="https://a.example/">1</a>' })
    const [click, pixel, view] = [
      mail.link(0),
      mail.pixel!,
      `${house.url}/v/${house.services.links.tracked.ofMessage({ id: mail.messageId, isTest: false }).view().split('/v/')[1]}`,
    ]
    const other = Buffer.from('evil.example/').toString('base64url')
    const bad = [
      click.slice(0, -1),
      `${click}A`,
      `${click}/`,
      click.replace(/\.[\w-]+\.([\w-]+)$/, `.${other}.$1`),
      click.replace('/c/', '/c/x'),
      pixel.replace('.gif', 'A.gif'),
      `${view}A`,
      `${view}/html`,
      `${view}/text/more`,
      `${house.url}/c/`,
      `${house.url}/o/.gif`,
      `${house.url}/v/`,
      click.replace('/c/', '/v/'),
      pixel.replace('/o/', '/c/'),
    ]
    for (const address of bad) {
      for (const method of ['GET', 'HEAD', ...(address.includes('/c/') ? ['POST'] : [])]) {
        const response = await house.visit(address, { method })
        expect([response.status, response.headers.get('location')], `${method} ${address}`).toEqual([404, null])
      }
    }
    expect(await (await house.visit(bad[0]!)).text()).toContain('This link is not valid')
    await house.events(mail.messageId, 0)
  })

  test('in a test mail lead where they should and are not recorded', async () => {
    const mail = await house.mail(
      'test@example.com',
      { content_html: '<a href="https://a.example/?sailthru_lists[Daily]=1">1</a>' },
      { options: { test: true } },
    )
    expect(await targetOf(mail.link(0))).toBe('https://a.example/')
    expect((await house.visit(mail.pixel!)).status).toBe(200)
    await house.events(mail.messageId, 0)
  })
})

describe('opens', () => {
  test('are seen by a pixel at the end of the body, unless the template has one', async () => {
    const mail = await house.mail('open@example.com', { content_html: '<html><body><p>Hi</p></BODY></html>' })
    expect(mail.html).toMatch(/<p>Hi<\/p>.*<img src="[^"]+\.gif" width="1" height="1" border="0" alt="">.*<\/BODY>/s)
    const response = await house.visit(mail.pixel!)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('image/gif')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(
      Buffer.from(await response.arrayBuffer())
        .subarray(0, 6)
        .toString(),
    ).toBe('GIF89a')
    expect(await house.events(mail.messageId, 1)).toMatchObject([
      { type: 'open', url: null, link: null, machine: false },
    ])
    const own = await house.mail('own@example.com', { content_html: '{beacon}<p>Hi</p><a href="{beacon_src}">x</a>' })
    expect(own.html.match(/<img/g)).toHaveLength(1)
    expect(own.html).toMatch(/^<img/)
  })

  test('are nobody’s business where the person or the account says so', async () => {
    const refuse = { person: { kind: 'email', value: 'shy@example.com' }, act: { via: 'api', evidence: 0 } } as const
    await house.services.profiles.change({ ...refuse, pixelConsent: 'opt-out' })
    const content_html = '<p>Hi {beacon}{beacon_src}</p>'
    expect((await house.mail('shy@example.com', { content_html })).html).toContain('<p>Hi </p>')
    expect((await house.mail('unasked@example.com', { content_html })).pixel).not.toBeNull()
    await house.setting('pixel_needs_consent', 'true')
    expect((await house.mail('unasked@example.com', { content_html })).pixel).toBeNull()
    await house.services.profiles.change({ ...refuse, pixelConsent: 'opt-in' })
    expect((await house.mail('shy@example.com', { content_html })).pixel).not.toBeNull()
    await house.setting('pixel_needs_consent', 'false')
    expect((await house.send('Opt-in Confirm', 'unasked@example.com')).pixel).toBeNull()
  })

  test('stop being recorded when the person refuses them afterwards', async () => {
    const mail = await house.mail('later@example.com', { content_html: '<p>Hi</p>' })
    await house.change(mail.profileId, { pixelConsent: 'opt-out' })
    await house.visit(mail.pixel!)
    await house.events(mail.messageId, 0)
  })
})

describe('people and machines', () => {
  test('a person who opens and clicks becomes active; what machines fetch does not count', async () => {
    const mail = await house.mail('active@example.com', {
      content_html:
        '<a href="https://a.example/">1</a><a href="https://b.example/">2</a><a href="https://c.example/">3</a>',
    })
    const robot = { headers: { 'user-agent': 'Mozilla/5.0' } }
    await house.visit(mail.pixel!, robot)
    await house.visit(mail.link(0), { headers: { 'sec-purpose': 'prefetch' } })
    await house.visit(mail.link(0), { method: 'HEAD' })
    expect((await house.events(mail.messageId, 3)).every(({ machine }) => machine)).toBe(true)
    await house.later(60_000)
    expect(await house.activityOf(mail.profileId)).toBeNull()
    // A gateway with a whole browser gives itself away by its haste.
    for (const number of [0, 1, 2]) await house.visit(mail.link(number))
    expect((await house.events(mail.messageId, 6)).filter(({ machine }) => machine)).toHaveLength(3)
    await house.later(60_000)
    expect((await house.events(mail.messageId, 6)).every(({ machine, settled }) => machine && settled)).toBe(true)
    expect(await house.activityOf(mail.profileId)).toBeNull()
    const openedAt = house.clock.now()
    await house.visit(mail.pixel!)
    await house.events(mail.messageId, 7)
    house.clock.advance(5_000)
    const clickedAt = house.clock.now()
    await house.visit(mail.link(1))
    await house.visit(mail.link(1))
    await house.events(mail.messageId, 9)
    await house.later(60_000)
    await house.later(60_000)
    expect(await house.activityOf(mail.profileId)).toEqual({
      opened_at: openedAt,
      clicked_at: clickedAt,
      opens: 1,
      clicks: 2,
    })
  })

  test('a click within seconds of the delivery by somebody who names no language is a machine’s', async () => {
    const mail = await house.mail('quick@example.com', { content_html: '<a href="https://a.example/">1</a>' })
    const silent = { headers: { 'accept-language': '' } }
    await house.visit(mail.link(0), silent)
    house.clock.advance(20_000)
    await house.visit(mail.link(0), silent)
    expect((await house.events(mail.messageId, 2)).map(({ machine }) => machine)).toEqual([true, false])
  })

  test('templates see it: user_engagement() and profile.click_time', async () => {
    const mail = await house.send((await active('seen@example.com')).template, 'seen@example.com')
    expect(mail.html).toContain('5 5 true')
  })

  async function active(email: string) {
    const template = 'Engaged'
    await house.services.templates.save(template, {
      subject: 'Hello',
      is_link_tracking: true,
      content_html:
        '<a href="https://a.example/">{user_engagement()} {profile.engagement == "active" ? 5 : 0} {profile.click_time > 0}</a>',
    })
    const mail = await house.send(template, email)
    await house.visit(mail.link(0))
    await house.events(mail.messageId, 1)
    await house.later(60_000)
    return { template }
  }

  test('two people who become one were both there', async () => {
    const mails = []
    for (const email of ['first@example.com', 'second@example.com']) {
      const mail = await house.mail(email, { content_html: '<a href="https://a.example/">1</a>' })
      await house.visit(mail.link(0))
      await house.events(mail.messageId, 1)
      await house.later(60_000)
      mails.push(mail)
    }
    const [first, second] = mails as [(typeof mails)[0], (typeof mails)[0]]
    const newest = await house.activityOf(second.profileId)
    await house.change(first.profileId, { keys: { email: 'second@example.com' }, keysConflict: 'merge' })
    expect(await house.activityOf(first.profileId)).toEqual({ ...(newest as object), clicks: 2 })
    expect(await house.activityOf(second.profileId)).toBeNull()
  })

  test('who follows a link has a mailbox again', async () => {
    const mail = await house.mail('soft@example.com', { content_html: '<a href="https://a.example/">1</a>' })
    const soft = { address: 'soft@example.com', class: 'full', detail: null }
    await house.change(mail.profileId, { deliverability: { ...soft, state: 'softbounce' } }, 'bounce')
    await house.visit(mail.link(0), { method: 'HEAD' })
    await house.events(mail.messageId, 1)
    await house.later(60_000)
    const state = () =>
      sql<{ state: string }>`select state from address where address = 'soft@example.com'`.execute(house.db)
    expect((await state()).rows).toEqual([{ state: 'softbounce' }])
    await house.visit(mail.link(0))
    await house.events(mail.messageId, 2)
    await house.later(60_000)
    expect((await state()).rows).toEqual([{ state: 'ok' }])
    await house.change(mail.profileId, { deliverability: { ...soft, state: 'hardbounce' } }, 'bounce')
    await house.visit(mail.link(0))
    await house.events(mail.messageId, 3)
    await house.later(60_000)
    expect((await state()).rows).toEqual([{ state: 'hardbounce' }])
  })
})

describe('a message in the browser', () => {
  test('shows what the mail showed, to whoever has it, and follows nobody', async () => {
    const mail = await house.mail(
      'view@example.com',
      {
        content_html:
          '<html><body><p>Dear {first_name}, {date("d MMM yyyy", time("now"))}, {random(1000000)}</p>{beacon}' +
          '<a href="https://a.example/?a=1&amp;sailthru_lists[Daily]=1">1</a><a href="{view_url}">2</a>' +
          '<a href="{signup_confirm()}">3</a></body></html>',
        link_params: { from: 'mail' },
      },
      { vars: { first_name: 'Ada' } },
    )
    const view = mail.links.find((link) => link.includes('/v/'))!
    house.clock.advance(40 * 86_400_000)
    const response = await house.visit(view)
    expect(response.status).toBe(200)
    const html = await response.text()
    expect(html).toContain(/<p>Dear Ada, 5 Mar 2030, \d+<\/p>/.exec(mail.html)![0])
    expect(html).toContain('<a href="https://a.example/?a=1&amp;from=mail">1</a>')
    expect(html).toContain(`<a href="${view}">2</a>`)
    // The way out stays; the way in would be a fresh one each time.
    expect(html).toContain(`${house.url}/oc/`)
    expect(html).not.toMatch(/\/s\/|\/c\/|\/o\/|<img/)
    expect(response.headers.get('content-security-policy')).toMatch(
      /default-src 'none'.*frame-ancestors 'none'.*sandbox/,
    )
    expect(response.headers.get('referrer-policy')).toBe('no-referrer')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.get('x-robots-tag')).toContain('noindex')
    const text = await house.visit(`${view}/text`)
    expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(await text.text()).toContain('Dear Ada')
    await house.events(mail.messageId, 0)
  })

  test('is gone with the person, and where the template says so', async () => {
    const mail = await house.mail('erased@example.com', { content_html: '<a href="{view_url}">1</a>' })
    expect((await house.visit(mail.link(0))).status).toBe(200)
    await house.visit(mail.pixel!)
    await house.events(mail.messageId, 1)
    await house.later(60_000)
    await house.change(mail.profileId, { erase: true })
    expect((await house.visit(mail.link(0))).status).toBe(404)
    expect(await house.activityOf(mail.profileId)).toBeNull()
    const secret = await house.mail('secret@example.com', {
      content_html: '<a href="{view_url}">1</a>',
      is_unviewable: true,
    })
    expect((await house.visit(secret.link(0))).status).toBe(404)
  })
})

test('following links by GET and HEAD changes nothing about anybody', async () => {
  const mail = await house.mail('quiet@example.com', {
    content_html:
      '<a href="https://a.example/">1</a><a href="https://a.example/?sailthru_lists[Daily]=1&sailthru_vars[x]=1">2</a>{view_url}',
  })
  await house.services.lists.ensure(['Daily'])
  const view = /http\S+\/v\/[\w.-]+/.exec(mail.html)![0]
  for (const mode of ['off', 'interstitial', 'scored']) {
    await house.setting('link_list_mode', mode)
    const before = await consent()
    for (const address of [mail.link(0), mail.link(1), mail.pixel!, view]) {
      for (const method of ['GET', 'HEAD']) {
        for (let time = 0; time < 5; time++) await (await house.visit(address, { method })).arrayBuffer()
      }
    }
    expect(changes(before, await consent()), mode).toEqual([])
  }
})

test('the API tells of it: GET send, GET user', async () => {
  const client = sailthruClient({ url: house.url, key: '0123456789abcdef', secret })
  const call = async (endpoint: string, params: object) => (await client.get(endpoint, params)).body
  const email = 'api@example.com'
  const mail = await house.mail(email, { content_html: '<a href="https://a.example/">1</a>' })
  const send_id = house.services.sends.sendIdOf(mail.messageId)
  const before = await call('send', { send_id })
  expect(before).not.toHaveProperty('open_time')
  expect(await (await house.visit(String(before.view_url))).text()).toContain('https://a.example/')
  expect((await house.visit(String(before.text_url))).status).toBe(200)
  await house.visit(mail.pixel!)
  await house.visit(mail.link(0))
  await house.events(mail.messageId, 2)
  await house.later(60_000)
  const time = /^\w{3}, \d\d \w{3} 2030 /
  expect(await call('send', { send_id })).toMatchObject({
    open_time: expect.stringMatching(time),
    click_time: expect.stringMatching(time),
  })
  expect(
    await call('user', { id: email, key: 'email', fields: { activity: 1, lifetime: 1, engagement: 1 } }),
  ).toMatchObject({
    engagement: 'active',
    activity: { open_time: expect.stringMatching(time), click_time: expect.stringMatching(time) },
    lifetime: { lifetime_message: 1, lifetime_open: 1, lifetime_click: 1 },
  })
})
