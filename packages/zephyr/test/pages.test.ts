import { describe, expect, it } from 'vitest'
import { compile, dataOf, RenderError } from '../src/index.ts'

const EVIL = `"><script>alert('x')</script>`

function page(
  source: string,
  request: Record<string, unknown> = { q: EVIL },
  more: Parameters<typeof dataOf>[0] = {},
): string {
  return compile(source, { context: 'page' }).render(dataOf({ request, ...more }), { now: 0 })
}

const HTML = '&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;'

describe('what visitors typed, on hosted pages', () => {
  const cases: [source: string, expected: string][] = [
    ['{q}', HTML],
    ['{h(q)}{u("<")}', `${HTML}%3C`],
    ["{'<b>' + q + '</b>'}", `<b>${HTML}</b>`],
    ["{x = '<i>' + q}{x + '</i>'}", `<i>${HTML}</i>`],
    ['{h(q) + q}', HTML + HTML],
    [
      '{upper(q)}',
      HTML.replace('script&gt;alert', 'SCRIPT&gt;ALERT').replace('/script', '/SCRIPT').replace('&#39;x', '&#39;X'),
    ],
    ['{substr(q, 0, 2)}{q[0]}{first(q)}', `&quot;&gt;&quot;${HTML}`],
    ["{join([q, '<br>'], '<hr>')}", `${HTML}<hr><br>`],
    ['{[q]}', `[${HTML}]`],
    ["{{'k': q}}", '{&quot;k&quot;:&quot;\\&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;}'],
    ['{o = {}}{o[q] = 1}{keys(o)[0]}{foreach o as k, v}{k}{/foreach}', HTML + HTML],
    ['{b = bucket_list([q], lambda x: x)}{keys(b)}', `[${HTML}]`],
    ["{foreach split(q, ' ') as w}{w}{/foreach}", HTML],
    ["{replace('x', 'x', q)}", HTML],
    ['{date("\'" + q)}', HTML.replaceAll('&#39;', '')],
    ["{number(1, '0' + q)}", `1${HTML.replaceAll('&#39;', '')}`],
    ['{base64_decode(base64_encode(q))}', HTML],
    ['{length(md5(q))}{length(q)}{int(q)}{type(q)}', '32290string'],
    ['{profile.vars.n}{n}{profile.lists[0]}', `${HTML}${HTML}&lt;l&gt;`],
    ['{email}', '&lt;e&gt;'],
    ['{optout_confirm_url}', 'https://l.example/?a=1&b=2'],
    ['{title}', '<b>feed</b>'],
    ['{filter([q], lambda x: true)[0]}{map([q], lambda x: x)[0]}{sort([q])[0]}', HTML.repeat(3)],
    ["{q == q ? 'same' : ''}{if contains(q, 'script')}has{/if}", 'samehas'],
    ['<a title="{q}">', `<a title="${HTML}">`],
    ['<a title={b}>', '<a title=a&#32;onclick&#61;x>'],
    ['<p {b}>', '<p >'],
    ['<option {s}>', '<option selected>'],
    ['<a href="{u1}">', '<a href="#">'],
    ["<a href='{u2}'>", "<a href='#'>"],
    ['<a href={u1}>', '<a href=#>'],
    ['<a href="{u3}">', '<a href="https://x.example/?a=1&amp;b=2">'],
    ['<a href="{half}{rest}">', '<a href="java script%3Aalert(1)">'],
    ['<a href="/x?u={u1}">', '<a href="/x?u=javascript:alert(1)">'],
    ['<img src="{u4}">', '<img src="#">'],
    ['<form action="{u1}"><button formaction="{u1}">', '<form action="#"><button formaction="#">'],
    [
      '<script>var a = {q};</script>',
      '<script>var a = "\\u0022\\u003e\\u003cscript\\u003ealert\\u0028\\u0027x\\u0027\\u0029\\u003c\\u002fscript\\u003e";</script>',
    ],
    ['<script>var a = "{t}";</script>', '<script>var a = "\\u0060\\u0024\\u007bx\\u007d";</script>'],
    ['<a onclick="go(\'{t}\')">', '<a onclick="go(\'\\u0060\\u0024\\u007bx\\u007d\')">'],
    ['<a onclick="go({t})">', '<a onclick="go(&quot;\\u0060\\u0024\\u007bx\\u007d&quot;)">'],
    ['<style>a { color: {c} }</style>', '<style>a { color: \\7d  \\3c  }</style>'],
    ['<iframe srcdoc="{tag}">', '<iframe srcdoc="&amp;lt;b&amp;gt;">'],
    ['<!-- {q} -->', `<!-- ${HTML} -->`],
    ['<textarea>{q}</textarea>', `<textarea>${HTML}</textarea>`],
    ['{if 1}<p>{else}<a href="{/if}{q}', `<p>${HTML}`],
    ['<a {if 0}title="x"{else}href="{u1}"{/if}>', '<a href="#">'],
    ['<script>var n = {n5};</script>', '<script>var n = 5;</script>'],
  ]
  for (const [source, expected] of cases) {
    it(source, () => {
      const request = {
        q: EVIL,
        b: 'a onclick=x',
        s: 'selected',
        u1: 'javascript:alert(1)',
        u2: ' JaVa\tScRiPt:alert(1)',
        u3: 'https://x.example/?a=1&b=2',
        u4: 'data:text/html,x',
        half: 'java ',
        rest: 'script:alert(1)',
        t: '`${x}',
        c: '} <',
        tag: '<b>',
        n5: 5,
      }
      const out = page(source, request, {
        standard: { email: '<e>', optout_confirm_url: 'https://l.example/?a=1&b=2' },
        profile: { vars: { n: EVIL }, lists: ['<l>'] },
        feed: { title: '<b>feed</b>' },
      })
      expect(out).toBe(expected)
    })
  }

  it('raw() refuses it and lets the author through', () => {
    expect(page("{raw('<b>')}{raw(title)}", {}, { feed: { title: '<i>' } })).toBe('<b><i>')
    expect(() => page('{raw(q)}')).toThrow(RenderError)
    expect(() => page('{raw([q])}')).toThrow(/visitor/)
  })

  it('request parameters never become standard variables', () => {
    expect(
      page('{email}{profile.vars.x}{optout_confirm_url}', {
        email: 'x',
        profile: { vars: { x: 1 } },
        optout_confirm_url: 'y',
      }),
    ).toBe('')
  })

  it('values are never read as Zephyr again', () => {
    expect(page('{q}', { q: '{email}' }, { standard: { email: 'secret' } })).toBe('{email}')
  })

  it('no input makes a tag or leaves an attribute', () => {
    for (let code = 0; code < 0x250; code++) {
      const c = String.fromCharCode(code)
      const out = page('<p title="{q}">{q}</p>', { q: `a${c}b` })
      expect(out.replace(/^<p title="[^"<>]*">[^<>]*<\/p>$/s, '')).toBe('')
    }
  })
})
