import { describe, expect, it } from 'vitest'
import {
  addLinkParams,
  CompileError,
  compile,
  compileMessage,
  type Data,
  type Host,
  labelled,
  Stop,
} from '../src/index.ts'
import { lintMessage } from '../src/lint.ts'
import { dataFor, envFor, example, fixture, hostOf, outcome, profileOf } from './conformance/fixture.ts'
import { CASES } from './conformance/language.ts'

describe('language and library', () => {
  for (const { n, group, template, expected, tag, change } of CASES) {
    it(`${n} [${tag}] ${group}: ${template}`, () => {
      expect(outcome(template, change)).toBe(expected)
    })
  }
})

const page = (source: string, request: Record<string, unknown>, optout = 'none', anonymous = false) =>
  compile(source, { context: 'page' }).render(
    dataFor({ optout }, { request, vars: undefined, ...(anonymous ? { profile: null, standard: {} } : {}) }),
    envFor(),
  )

describe('contexts', () => {
  it('C1 [documented] static campaign: single braces at creation, doubled at sending', () => {
    const created = compile("Made {date('MMM d')}, sent {{date('MMM d')}}", { braces: 'single' }).render(
      {},
      { now: Date.UTC(2024, 5, 10) / 1000 },
    )
    expect(created).toBe("Made Jun 10, sent {{date('MMM d')}}")
    expect(compile(created, { braces: 'double' }).render(dataFor(), envFor())).toBe('Made Jun 10, sent Jun 15')
  })

  it('C2 [documented] static campaign: no user in single braces', () => {
    const created = compile('Hi {first_name}, or {{first_name}}', { braces: 'single' }).render({}, envFor())
    expect(compile(created, { braces: 'double' }).render(dataFor(), envFor())).toBe('Hi , or Ada')
  })

  it('C3 [documented] the subject sees Setup', () => {
    const message = compileMessage({ setup: "{greet = 'Ahoy'}", subject: '{greet} {first_name}' })
    expect(message.render(dataFor(), envFor()).subject).toBe('Ahoy Ada')
  })

  it('C4 [chosen] the subject does not see the HTML part, and the author is told', () => {
    const source = { subject: '{deal}', content_html: "{deal = 'rope'}{optout_confirm_url}" }
    expect(compileMessage(source).render(dataFor(), envFor()).subject).toBe('')
    expect(lintMessage(source).map((warning) => warning.code)).toContain('assigned-elsewhere')
  })

  it('C5 [chosen] links see what the HTML part assigned', () => {
    const html = '{deal = \'rope\'}<a href="https://shop.example/?d={deal}">go</a>'
    expect(outcome(html)).toBe('<a href="https://shop.example/?d=rope">go</a>')
  })

  it('C6 [documented] a link in a loop is one link of the report', () => {
    const template = compile('{foreach slice(content,0,2) as c}<a href="{c.url}">{c.title}</a>{/foreach}')
    const seen: [string, number][] = []
    const link = (url: string, { index }: { index: number }) => {
      seen.push([url, index])
      return url
    }
    template.render(dataFor(), { ...envFor(), link })
    expect(seen).toEqual([
      ['https://news.example/a', 0],
      ['https://news.example/b', 0],
    ])
    expect(template.reads.links.map((link) => link.source)).toEqual(['{c.url}'])
  })

  it('C7 [documented] auto-append parameters go before the fragment', () => {
    const { linkParams } = compileMessage({ link_params: 'uid={md5(email)}' }).render(dataFor(), envFor())
    expect(addLinkParams('https://shop.example/x#top', linkParams)).toBe(
      'https://shop.example/x?uid=5bfcf2d8e394674550332640d72db509#top',
    )
  })

  it('C8 [documented] the text part can be made from the HTML part', () => {
    const message = compileMessage({ content_html: '<p>Calm <b>seas</b></p>', content_text: '{text(rendered_html)}' })
    expect(message.render(dataFor(), envFor()).text).toBe('Calm seas')
  })

  it('C9 [chosen] pages escape what the visitor typed', () => {
    expect(page('Stop {list}?', { list: '<b>x</b>' })).toBe('Stop &lt;b&gt;x&lt;/b&gt;?')
  })

  it('C10 [documented] … and only once', () => {
    expect(page('Stop {h(list)}?', { list: '<b>x</b>' })).toBe('Stop &lt;b&gt;x&lt;/b&gt;?')
  })

  it('C11 [documented] mail is not escaped', () => {
    expect(outcome('{first_name}', { vars: { first_name: '<b>A</b>' } })).toBe('<b>A</b>')
  })

  it('C12 [documented] a page can refuse an anonymous visitor', () => {
    expect(() => page("{assert(profile.email, 'who are you')}", {}, 'none', true)).toThrow(Stop)
  })

  it('C13 [documented] cancel decides per recipient', () => {
    const message = compileMessage({ setup: "{cancel(points < 100, 'few')}", subject: 'x' })
    const withPoints = (points: number): Data => dataFor({ vars: { points } })
    expect(message.render(withPoints(120), envFor()).subject).toBe('x')
    expect(() => message.render(withPoints(80), envFor())).toThrow('few')
  })

  it('C14 [documented] a false assert in Setup stops before any field is rendered', () => {
    expect(() => compileMessage({ setup: '{assert(false)}', subject: 'x' }).render(dataFor(), envFor())).toThrow(Stop)
  })

  it('C15, C16 [documented, chosen] a template says whether it has an opt-out link and a beacon', () => {
    expect(compile('x').reads).toMatchObject({ optoutLink: false, beacon: false })
    expect(compile('{optout_confirm_url}{beacon}').reads).toMatchObject({ optoutLink: true, beacon: true })
    expect(lintMessage({ content_html: 'x' }).map((warning) => warning.code)).toContain('no-optout-link')
  })

  it('C17 [chosen] standard variables are protected', () => {
    const data = dataFor({}, { feed: { email: 'evil@x.example' }, vars: { email: 'evil@x.example' } })
    expect(compile('{email}').render(data, envFor())).toBe('ada@example.org')
  })

  it('C18 [chosen] send vars come before profile vars', () => {
    expect(outcome('{tier} {profile.vars.tier}', { vars: { tier: 'silver' } })).toBe('silver gold')
  })

  it('C19 [documented] test vars come last', () => {
    const data = dataFor({}, { test: { tier: 'silver', extra: 'x' } })
    expect(compile('{tier}{extra}').render(data, envFor())).toBe('goldx')
  })

  it('C20 [chosen] effects are for the caller to carry out, once, after the rendering', () => {
    const calls: unknown[] = []
    const host: Host = {
      ...hostOf(),
      promotion: () => ({ code: `C${calls.length}` }),
      appendUserVar: (...args) => void calls.push(args),
    }
    const message = compileMessage({
      setup: "{append_user_var('codes', promotion().code, 3)}",
      subject: '{promotion().code}',
      content_html: '{promotion().code}',
    })
    const { subject, html } = message.render(dataFor(), { ...envFor(), host })
    expect(calls).toEqual([['codes', 'C0', 3]])
    expect([subject, html]).toEqual(['C0', 'C0'])
  })

  it('C21 [documented] snippets', () => {
    const snippets = (name: string) => (name === 'sig' ? '— {h(first_name)}' : undefined)
    expect(compile("{include 'sig'}", { snippets }).render(dataFor(), envFor())).toBe('— Ada')
  })

  it('C22 [documented] snippets do not include snippets', () => {
    const snippets = () => "{include 'other'}"
    expect(() => compile("{include 'sig'}", { snippets })).toThrow(CompileError)
  })

  it('C23 [chosen] api functions are for trigger scripts', () => {
    expect(outcome("{api_user({'vars':{'x':1}})}")).toBe('COMPILE ERROR')
  })

  it('C24 [documented] a trigger script sends', () => {
    const sent: unknown[] = []
    const script = compile("{if message.open_time}{api_send('Welcome 2')}{/if}", { context: 'trigger' })
    const host: Host = { apiSend: (request) => void sent.push(request) }
    script.render(dataFor({ named: { message: { open_time: 1718400000 } } }), { host })
    script.render(dataFor({ named: { message: { open_time: null } } }), { host })
    expect(sent).toEqual([{ template: 'Welcome 2' }])
  })

  it('C25 [chosen] a subject is one line', () => {
    const message = compileMessage({ subject: '{first_name}' })
    const { subject } = message.render(dataFor({ vars: { first_name: 'Ada\r\nBcc: x' } }), envFor())
    expect(subject).toBe('Ada Bcc: x')
  })
})

describe('complete examples', () => {
  it('F1 [documented] opt-out page, from a list mail', () => {
    expect(page(example('optout-page.template'), { list: 'Harbor Weekly' })).toBe(example('optout-page.mailable'))
  })

  it('F1 [documented] opt-out page, already out', () => {
    expect(page(example('optout-page.template'), {}, 'all')).toBe(example('optout-page.all'))
  })

  it('F2 [documented] preference page', () => {
    expect(page(example('preferences.template'), {}, 'basic')).toBe(example('preferences.basic'))
  })

  it('F3 [documented] confirmed opt-in mail', () => {
    const change = { vars: { signup_lists: ['Auction Bell', 'Deck Notes'] } }
    expect(outcome(example('confirm-mail.template'), change)).toBe(example('confirm-mail.expected'))
  })

  it('F4 [documented] receipt with a way back', () => {
    expect(outcome(example('receipt.template'), { optout: 'basic' }).trimEnd()).toBe(example('receipt.basic'))
    expect(outcome(example('receipt.template'), { optout: 'none' })).not.toContain('Miss us?')
  })
})

describe('the fixture', () => {
  it('is not changed by rendering', () => {
    const before = JSON.stringify(fixture)
    outcome("{x = sort(content, 'price')}{profile.vars.tier = 'x'}{content[0].title = 'y'}{push('tags', 'z')}")
    expect(JSON.stringify(fixture)).toBe(before)
  })

  it('labels print as text and have fields', () => {
    const template = labelled('Weekly', { name: 'weekly-2', public_name: 'Weekly' })
    const data = dataFor({ named: { template } }, { profile: profileOf() })
    expect(compile("{template}/{template.name}/{'x' + template}/{if template == 'Weekly'}1{/if}").render(data)).toBe(
      'Weekly/weekly-2/xWeekly/1',
    )
  })
})
