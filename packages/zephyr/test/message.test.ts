import { describe, expect, it } from 'vitest'
import { compile, compileMessage, dataOf, type LinkSource, oneLine, plainText, Stop } from '../src/index.ts'
import { dataFor, envFor } from './conformance/fixture.ts'

describe('messages', () => {
  const render = (source: Parameters<typeof compileMessage>[0]) => compileMessage(source).render(dataFor(), envFor())

  it('every field starts from what Setup left, on a copy of its own', () => {
    const { subject, fromName, html, text, preheader } = render({
      setup: "printed{n = 1}{l = [1]}{o = {'k': 1}}",
      from_name: '{n}{n = 5}',
      subject: "{n}{push('l', 2)}{l}{o.k = 9}{o}",
      preheader: '{l}{o}',
      content_html: '{n}{n = 7}{l}{o.k}',
      content_text: '{n}{l}{o.k}',
    })
    expect([fromName, subject, preheader, html, text]).toEqual(['1', '1[1, 2]{"k":9}', '[1]{"k":1}', '1[1]1', '1[1]1'])
  })

  it('what Setup sorts stays sorted for the message', () => {
    const { subject, html } = render({
      setup: "{x = sort(content, 'price')}",
      subject: '{content[0].title}',
      content_html: "{y = sort(content, '-price')}{content[0].title}",
    })
    expect([subject, html]).toEqual(['Anchor basics', 'Tide tables'])
  })

  it('lambdas of Setup work in every field and see its variables', () => {
    const { subject, html } = render({
      setup: "{hail = lambda n: greet + n}{add = lambda x: push('l', x)}{l = []}",
      subject: "{greet = 'Ahoy '}{hail('Kit')}",
      content_html: "{hail('Kit')}{add(1)}{add(2)}{l}",
    })
    expect([subject, html]).toEqual(['Ahoy Kit', 'Kit[1, 2]'])
  })

  it('lambdas of Setup are known in lenient mode and in scripts', () => {
    const source = { setup: '{hail = lambda n: n}', content_html: '{hail(1)}<script>{hail(2)}{other(3)}</script>' }
    expect(compileMessage(source, { mode: 'lenient' }).render({}).html).toBe('1<script>2{other(3)}</script>')
    expect(compileMessage(source).render({}).html).toBe('1<script>2{other(3)}</script>')
  })

  it('the parts draw the same random numbers', () => {
    const part = '{random(1000000)},{shuffle(range(1,20))}'
    const { subject, html, text } = render({
      setup: '{x = random()}',
      subject: part,
      content_html: part,
      content_text: part,
    })
    expect(subject).toBe(html)
    expect(text).toBe(html)
    const other = compileMessage({ subject: part }).render(dataFor(), { ...envFor(), seed: 'other' })
    expect(other.subject).not.toBe(html)
  })

  it('an empty text part is made from the HTML part', () => {
    const { text } = render({
      content_html: '<h1>Hi {first_name}</h1><p>Go <a href="https://e.x/?a=1&amp;b=2">there</a></p>',
    })
    expect(text).toBe('Hi Ada\n\nGo there <https://e.x/?a=1&b=2>')
  })

  it('rendered_html is for the text part alone', () => {
    const { subject, html, text } = render({
      subject: '[{rendered_html}]',
      content_html: '<b>{rendered_html}</b>',
      content_text: '{rendered_html}',
    })
    expect([subject, html, text]).toEqual(['[]', '<b></b>', '<b></b>'])
  })

  it('a stop says where it was asked for', () => {
    try {
      render({ setup: "{x = 1}\n{assert(false, 'thin feed')}", subject: 'x' })
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(Stop)
      expect(error).toMatchObject({ kind: 'assert', reason: 'thin feed', field: 'setup', line: 2, column: 2 })
    }
  })

  it('compile errors name the field', () => {
    expect(() => compileMessage({ subject: 'ok', content_text: '{nosuch()}' })).toThrow(/content_text, line 1/)
    expect(() => compileMessage({ link_params: 'a={promotion().code}' })).toThrow(/link parameters/)
    expect(() => compileMessage({ link_params: 'a={assert(1)}' })).toThrow(/link parameters/)
  })

  it('header text is one line', () => {
    expect(oneLine('a\r\nb\u0000\u0085c\u2028d')).toBe('a b c d')
  })

  it('tells what it reads', () => {
    const message = compileMessage({
      setup: '{deals = filter(content, lambda c: c.price > 100)}',
      subject: '{first_name}',
      content_html:
        '<a href="{c.url}">{foreach deals as c}{c.title}</a>{/foreach}<a href="https://x.example/">{profile.vars.tier}</a><a href=\'{signup_confirm()}\'>',
    })
    expect(message.reads).toMatchObject({
      variables: ['content', 'deals', 'first_name', 'profile'],
      paths: ['profile.vars.tier'],
      functions: ['filter', 'signup_confirm'],
      assigned: ['deals'],
      signupConfirm: true,
      optoutLink: false,
    })
    expect(message.reads.links.map(({ source, dynamic, index }) => ({ source, dynamic, index }))).toEqual([
      { source: '{c.url}', dynamic: true, index: 0 },
      { source: 'https://x.example/', dynamic: false, index: 1 },
      { source: '{signup_confirm()}', dynamic: true, index: 2 },
    ])
  })

  it('lets the caller replace addresses as they are rendered', () => {
    const seen: LinkSource[] = []
    const source =
      '<a href="https://x.example/{x = 1}{x}">a</a>\n<p href="no"><A HREF=\'/{if x}y{else}z{/if}\'>b</A><area href="{x}">'
    const out = compile(source).render(
      {},
      {
        link: (url, link) => {
          seen.push(link)
          return `[${url}]`
        },
      },
    )
    expect(out).toBe('<a href="[https://x.example/1]">a</a>\n<p href="no"><A HREF=\'[/y]\'>b</A><area href="[1]">')
    expect(seen.map(({ line, column }) => [line, column])).toEqual([
      [1, 10],
      [2, 23],
      [2, 62],
    ])
  })

  it('finds addresses without quotes, and says what else their element has', () => {
    const message = compileMessage({
      link_params: 'uid={uid}',
      content_html:
        '<a class="x" HREF=https://x.example/{n} clicktracking="off">a</a><A href={url}>b</a>' +
        '<area\nhref = "c" data-x={url}>{if n}<a href=d>{/if}<!-- <a href="e"> --><style>a[href="f"]{}</style>',
    })
    const seen: [string, string, object][] = []
    const { html } = message.render(dataOf({ vars: { n: 1, url: 'https://y.example/', uid: 7 } }), {
      link: (url, { attributes }, params) => {
        seen.push([url, params, Object.fromEntries(attributes)])
        return `[${url}]`
      },
    })
    expect(seen).toEqual([
      ['https://x.example/1', 'uid=7', { class: 'x', href: 'https://x.example/', clicktracking: 'off' }],
      ['https://y.example/', 'uid=7', {}],
      ['c', 'uid=7', { href: 'c' }],
      ['d', 'uid=7', { href: 'd' }],
    ])
    expect(html).toBe(
      '<a class="x" HREF=[https://x.example/1] clicktracking="off">a</a><A href=[https://y.example/]>b</a>' +
        '<area\nhref = "[c]" data-x=https://y.example/><a href=[d]><!-- <a href="e"> --><style>a[href="f"]{}</style>',
    )
  })

  it('static campaigns: values of the creation are not tags of the sending', () => {
    const source = '{foreach content as c}{{if first_name}}{c}{{/if}}{{first_name}} {/foreach}{{* later *}}{* now *}'
    const created = compile(source, { braces: 'single' }).render({
      layers: [{ name: 'feed', values: { content: ['{{x}}', 'y'] } }],
    })
    expect(created).toContain('{{if first_name}}y{{/if}}{{first_name}}')
    const sent = compile(created, { braces: 'double' }).render(dataFor(), envFor())
    expect(sent).toBe('{{x}}Ada yAda ')
    expect(compile('{x} {a:b} {{first_name}}', { braces: 'double' }).render(dataFor(), envFor())).toBe('{x} {a:b} Ada')
  })

  it('plain text of a page', () => {
    expect(plainText('<head><title>x</title></head><body>a <b>b</b>\n c<script>x</script><img alt="pic"><hr>d')).toBe(
      'a b cpic\nd',
    )
    expect(
      plainText('<a href="#x">top</a> <a href="mailto:a@b.c">a@b.c</a> <a href="https://e.x"><img src="i"></a>'),
    ).toBe('top a@b.c https://e.x')
  })
})
