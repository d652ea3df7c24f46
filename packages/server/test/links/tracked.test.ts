import { compile, type LinkSource } from '@fairlead/zephyr'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadSigningKeys, rotateSigningKey, type SigningKeys } from '../../src/links/keys.ts'
import { takeLinkActs } from '../../src/links/link-parameters.ts'
import { createLinkRewriter } from '../../src/links/rewrite.ts'
import { createTrackedLinks, LONGEST_TARGET, type TrackedLinks, targetOf } from '../../src/links/tracked.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const clock = movableClock('2030-03-05T12:00:00Z')
const publicUrl = 'https://mail.example.com'
let database: FreshDatabase
let keys: SigningKeys
let tracked: TrackedLinks

beforeAll(async () => {
  database = await freshDatabase()
  keys = await loadSigningKeys(database.db, clock)
  tracked = createTrackedLinks({ keys, publicUrl })
})
afterAll(() => database.drop())

const message = { id: 4711, isTest: false }
const tokenOf = (url: string) => url.slice(`${publicUrl}/c/`.length)
const made = (url: string, link: number | null = 3, of = message) =>
  tokenOf(tracked.ofMessage(of).click(link, targetOf(url, null)!))

/** Every way of changing, dropping or adding one character. */
function* tampered(text: string): Generator<string> {
  for (let at = 0; at < text.length; at++) {
    yield text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
    yield text.slice(0, at) + text.slice(at + 1)
    yield `${text.slice(0, at)}0${text.slice(at)}`
  }
  yield `${text}A`
  yield `${text}.A`
}

describe('tokens of tracked links', () => {
  test('carry all that is needed to redirect', () => {
    expect(tracked.openClick(made('https://shop.example/x?a=1#top'))).toEqual({
      message,
      link: 3,
      url: 'https://shop.example/x?a=1#top',
      acts: null,
    })
    expect(tracked.openClick(made('HTTP://shop.example/', null))).toMatchObject({
      link: null,
      url: 'http://shop.example/',
    })
    const test = { id: 2 ** 52, isTest: true }
    expect(tracked.openClick(made('https://a.example/', 0, test))).toMatchObject({ message: test, link: 0 })
  })

  test('carry what a click is to do', () => {
    const acts = {
      lists: [['Daily', true]] as Array<[string, boolean]>,
      vars: [['Größe', 4.5]] as Array<[string, number]>,
    }
    const url = tracked.ofMessage(message).click(1, targetOf('http://shop.example/', acts)!)
    expect(tracked.openClick(tokenOf(url))).toEqual({ message, link: 1, url: 'http://shop.example/', acts })
  })

  test('are short, and need no escaping anywhere', () => {
    const token = made('https://shop.example/x')
    expect(token).toMatch(/^[\w.-]+$/)
    expect(token.length).toBeLessThan(75)
  })

  test('lead nowhere after any change', () => {
    for (const token of [made('https://shop.example/'), made('http://shop.example/', null)]) {
      for (const forged of tampered(token)) expect(tracked.openClick(forged), forged).toBeNull()
    }
    for (const nonsense of ['', '.', '1.1.1.0.', `1.3mv.3.0.${'a'.repeat(100_000)}`, '0'.repeat(100)]) {
      expect(tracked.openClick(nonsense)).toBeNull()
    }
  })

  test('of one message, link, purpose or account never pass for another', () => {
    const [kid, , ...rest] = made('https://shop.example/').split('.')
    expect(tracked.openClick([kid, (4712).toString(36), ...rest].join('.'))).toBeNull()
    const pixel = /\/o\/(.+)\.gif$/.exec(tracked.ofMessage(message).pixel())![1]!
    const view = /\/v\/(.+)$/.exec(tracked.ofMessage(message).view())![1]!
    expect(tracked.openPixel(pixel)).toEqual(message)
    expect(tracked.openView(view)).toBe(message.id)
    expect(tracked.openPixel(view)).toBeNull()
    expect(tracked.openView(pixel)).toBeNull()
    for (const forged of tampered(pixel)) expect(tracked.openPixel(forged), forged).toBeNull()
    for (const forged of tampered(view)) expect(tracked.openView(forged), forged).toBeNull()
  })

  test('outlive a change of keys', async () => {
    const fresh = await freshDatabase()
    const before = await loadSigningKeys(fresh.db, clock)
    const url = createTrackedLinks({ keys: before, publicUrl })
      .ofMessage(message)
      .click(1, targetOf('https://a.example/', null)!)
    await rotateSigningKey(fresh.db, clock)
    await before.refresh()
    const after = createTrackedLinks({ keys: before, publicUrl })
    expect(after.openClick(tokenOf(url))).toMatchObject({ url: 'https://a.example/' })
    expect(tokenOf(after.ofMessage(message).click(1, targetOf('https://a.example/', null)!))).toMatch(/^2\./)
    // Another account's keys.
    expect(tracked.openClick(tokenOf(url))).toBeNull()
    await fresh.drop()
  })

  test('lead to websites only, whatever the characters', () => {
    for (const url of [
      'javascript:alert(1)',
      'mailto:ada@example.com',
      '//shop.example/',
      '/x',
      'ftp://a.example/',
      '',
    ]) {
      expect(targetOf(url, null), url).toBeNull()
    }
    expect(targetOf(`https://a.example/${'x'.repeat(LONGEST_TARGET)}`, null)).toBeNull()
    fc.assert(
      fc.property(
        fc.webUrl({ withQueryParameters: true, withFragments: true }),
        fc.string({ unit: 'grapheme' }),
        (url, more) => {
          expect(tracked.openClick(made(url + more))?.url).toBe(
            (url + more).replace(/^https?/i, (word) => word.toLowerCase()),
          )
        },
      ),
    )
  })
})

describe('what a link asks for besides leading somewhere', () => {
  test('is taken out of the address; the rest stays as it was written', () => {
    const { url, acts } = takeLinkActs(
      'https://a.example/x?b=%20+&sailthru_lists[Daily]=1&c&sailthru_lists%5BOld+News%5D=0&=&sailthru_horizon_tags=a,b#f?sailthru_lists[No]=1',
    )
    expect(url).toBe('https://a.example/x?b=%20+&c&=#f?sailthru_lists[No]=1')
    expect(acts).toEqual({
      lists: [
        ['Daily', true],
        ['Old News', false],
      ],
      vars: [],
    })
    expect(takeLinkActs('https://a.example/?sailthru_lists[A]=1')).toMatchObject({ url: 'https://a.example/' })
    expect(takeLinkActs('https://a.example/sailthru_lists[A]=1').acts).toBeNull()
  })

  test.each([
    ['x=red', 'red'],
    ['x=', ''],
    ['x=7', 7],
    ['x=-1.5', -1.5],
    ['x=007', '007'],
    ['x=12345678901234567890', '12345678901234567890'],
    ['x=true', true],
    ['x=false', false],
    ['x=yes', 'yes'],
    ['x=7&sailthru_vars_type[x]=string', '7'],
    ['x=yes&sailthru_vars_type[x]=boolean', true],
    ['x=0&sailthru_vars_type[x]=boolean', false],
    ['x=1e3&sailthru_vars_type[x]=number', 1000],
    ['x=red&sailthru_vars_type[x]=number', undefined],
    ['x=red&sailthru_vars_type[x]=boolean', undefined],
  ])('sailthru_vars: %s', (query, value) => {
    const { acts } = takeLinkActs(`https://a.example/?${query.replace('x=', 'sailthru_vars[x]=')}`)
    expect(acts?.vars).toEqual(value === undefined ? undefined : [['x', value]])
  })

  test('nothing strange, and not too much', () => {
    for (const query of [
      'sailthru_lists[]=1',
      'sailthru_lists[A]=2',
      'sailthru_vars[a][b]=1',
      'sailthru_vars[a.b]=1',
      'sailthru_level=none',
    ]) {
      expect(takeLinkActs(`https://a.example/?${query}`).acts, query).toBeNull()
    }
    const many = Array.from({ length: 30 }, (_, n) => `sailthru_lists[L${n}]=1`).join('&')
    expect(takeLinkActs(`https://a.example/?${many}`).acts!.lists).toHaveLength(20)
  })
})

describe('rewriting', () => {
  const rewriter = createLinkRewriter({ publicUrl })

  /** The addresses that a piece of HTML leads to: tracked ones as `→ target`. */
  function rewritten(html: string, data: object = {}, params = ''): string[] {
    const links = tracked.ofMessage(message)
    const env = {
      linkParams: params,
      link: (url: string, info: LinkSource, more: string) => rewriter.html(links, url, info, more),
    }
    const out = compile(html).render({ layers: [{ name: 'vars', values: data as never }] }, env)
    return [...out.matchAll(/href\s*=\s*("[^"]*"|'[^']*'|[^\s>]*)/gi)].map(([, quoted]) => {
      const value = quoted!.replace(/^["']|["']$/g, '')
      if (!value.startsWith(`${publicUrl}/c/`)) return value
      const click = tracked.openClick(tokenOf(value))!
      return `${click.link} → ${click.url}`
    })
  }

  test.each([
    ['<a href="https://a.example/">', ['0 → https://a.example/']],
    ["<A HREF='https://a.example/'>", ['0 → https://a.example/']],
    ['<a href=https://a.example/x>', ['0 → https://a.example/x']],
    ['<area shape=rect href="http://a.example/">', ['0 → http://a.example/']],
    ['<a href=" https://a.example/a\nb ">', ['0 → https://a.example/ab']],
    ['<a href="https://a.example/?a=1&amp;b=2">', ['0 → https://a.example/?a=1&b=2']],
    ['<a href="https://a.example/?a=1&b=2&copy=3&lt=4">', ['0 → https://a.example/?a=1&b=2&copy=3&lt=4']],
    ['<a href="https://a.example/?q=&quot;x&#34;&eacute;&#x41;">', ['0 → https://a.example/?q="x"éA']],
    ['<a href="https://a.example/grüße?q=日本">', ['0 → https://a.example/grüße?q=日本']],
    [`<a href="https://a.example/${'x'.repeat(2_000)}">`, [`0 → https://a.example/${'x'.repeat(2_000)}`]],
    [
      '<a href="mailto:ada@example.com"><a href="tel:1"><a href="#x"><a href="/x"><a href="">',
      ['mailto:ada@example.com', 'tel:1', '#x', '/x', ''],
    ],
    ['<a href="javascript:x"><a href="https://"><a href="//a.example/">', ['javascript:x', 'https://', '//a.example/']],
    [
      `<a href="${publicUrl}/oc/1/2?v=2"><a href="${publicUrl}/s/x"><a href="${publicUrl}/v/x">`,
      [`${publicUrl}/oc/1/2?v=2`, `${publicUrl}/s/x`, `${publicUrl}/v/x`],
    ],
    [`<a href="${publicUrl}/shop">`, [`0 → ${publicUrl}/shop`]],
    [
      '<a clicktracking="off" href="https://a.example/"><a href="https://b.example/" data-clicktracking=off>',
      ['https://a.example/', 'https://b.example/'],
    ],
    [
      '<!--[if mso]><a href="https://a.example/"><![endif]--><style>a[href="https://b.example/"]{}</style>',
      ['https://a.example/', 'https://b.example/'],
    ],
  ])('%s', (html, links) => {
    expect(rewritten(html)).toEqual(links)
    // The second message is made of what was learned with the first.
    expect(rewritten(html)).toEqual(links)
  })

  test('addresses made by the template, under the number of their place in it', () => {
    expect(
      rewritten(
        '{if big}<a href="https://a.example/{u(name)}">{/if}{foreach items as i}<a href="{i}">{/foreach}<a href={one}>',
        {
          big: true,
          name: 'a b',
          items: ['https://b.example/', 'mailto:x', 'https://c.example/'],
          one: 'https://d.example/',
        },
      ),
    ).toEqual([
      '0 → https://a.example/a+b',
      '1 → https://b.example/',
      'mailto:x',
      '1 → https://c.example/',
      '2 → https://d.example/',
    ])
  })

  test("the template's parameters, before the fragment", () => {
    expect(rewritten('<a href="https://a.example/x#top"><a href="https://a.example/?a">', {}, 'uid=1&x=é')).toEqual([
      '0 → https://a.example/x?uid=1&x=é#top',
      '1 → https://a.example/?a&uid=1&x=é',
    ])
  })

  test('addresses in plain text, without the punctuation around them', () => {
    const links = tracked.ofMessage(message)
    const text = rewriter.text(
      links,
      `See https://a.example/x, (https://b.example/y). ${publicUrl}/oc/1/2 <http://c.example>`,
    )
    const shown = text.replace(
      /https:\/\/mail\.example\.com\/c\/([\w.-]+[\w-])/g,
      (_, token) => `→ ${tracked.openClick(token)!.url}`,
    )
    expect(shown).toBe(`See → https://a.example/x, (→ https://b.example/y). ${publicUrl}/oc/1/2 <→ http://c.example>`)
  })

  test('for whom nothing is followed, addresses lead where the tracked ones do', () => {
    const env = {
      linkParams: 'b="2"',
      link: (url: string, info: LinkSource, more: string) => rewriter.plain(url, info, more),
    }
    const html = '<a href="https://a.example/?a=1&amp;sailthru_lists[A]=1"><a href="#x">'
    expect(compile(html).render({}, env)).toBe('<a href="https://a.example/?a=1&amp;b=&quot;2&quot;"><a href="#x">')
  })
})
