import { describe, expect, it } from 'vitest'
import {
  CompileError,
  type CompileOptions,
  collisions,
  compile,
  dataOf,
  type LintOptions,
  lint,
  lintMessage,
  RenderError,
} from '../src/index.ts'

function refusal(source: string, options: CompileOptions = {}): CompileError {
  try {
    compile(source, options)
  } catch (error) {
    if (error instanceof CompileError) return error
  }
  throw new Error('compiled')
}

describe('errors', () => {
  it('tell field, line, column and show the spot', () => {
    const error = refusal('Hello\n  {uper(first_name)}!', { field: 'content_html' })
    expect(error).toMatchObject({ field: 'content_html', line: 2, column: 4, suggestion: 'upper' })
    expect(error.message).toBe("unknown function 'uper'; did you mean 'upper'? (content_html, line 2, column 4)")
    expect(error.excerpt).toBe('  {uper(first_name)}!\n   ^')
  })

  it('shorten long lines around the spot', () => {
    const { excerpt, column } = refusal(`${'x'.repeat(500)}{a b}${'y'.repeat(500)}`)
    const [line, caret] = excerpt.split('\n') as [string, string]
    expect(column).toBe(504)
    expect(line.length).toBeLessThanOrEqual(96)
    expect(line[caret.indexOf('^')]).toBe('b')
  })

  const reasons: [source: string, reason: string, expected?: string][] = [
    ['{if x}open', '{if} is not closed', "'{/if}'"],
    ['{foreach x as y}{/if}', "{/if} does not close the open 'foreach'", "'{/foreach}'"],
    ['{/if}', '{/if} closes nothing'],
    ['{foreach x}', "expected 'as', found '}'", "'as'"],
    ['{h(a}', "expected ',' or ')', found '}'"],
    ["{'abc}", 'the text is not closed'],
    ['{a =}', "expected a value, found '}'"],
    ['{x = [1, 2}', "expected ',' or ']', found '}'"],
    ['{if}', "'if' needs an expression"],
    ['{case}', "'case' needs an expression"],
    ['{a # b}', "unexpected character '#'"],
    ['{12px}', 'a number cannot be followed by a letter'],
    ['{x', "expected '}', found the end of the template"],
    ['{break}', "'break' outside of a foreach"],
    ['{promotion()}', "'promotion' cannot be used on a hosted page"],
    ["{api_send('x')}", "'api_send' cannot be used on a hosted page"],
    ["{ad('x')}", "'ad' is not available here"],
    ['{public_share()}', "'public_share' needs 1 argument(s): public_share(type [, text])"],
  ]
  for (const [source, reason, expected] of reasons) {
    it(`${source} → ${reason}`, () => {
      const error = refusal(source, { context: 'page', available: new Set(['public_share', 'promotion']) })
      expect(error.reason).toBe(reason)
      if (expected !== undefined) expect(error.expected).toBe(expected)
    })
  }

  it('of snippets name the snippet', () => {
    expect(refusal("{include 'sig'}", { snippets: () => 'x\n{nosuch()}' })).toMatchObject({ snippet: 'sig', line: 2 })
    const template = compile("\n\n{include 'sig'}", { snippets: () => '{f = lambda: f()}{f()}' })
    expect(() => template.render({})).toThrow(/snippet 'sig' in template, line 1/)
  })

  it('of a rendering show where it went wrong', () => {
    const template = compile("{x = [1]}\n{foreach x as y}{push('x', y)}{/foreach}", { field: 'setup' })
    try {
      template.render({})
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(RenderError)
      expect(error).toMatchObject({ kind: 'collection', field: 'setup', line: 2, column: 18 })
    }
  })

  it('of the caller are told apart', () => {
    const host = {
      messageId() {
        throw new Error('no database')
      },
    }
    expect(() => compile('{message_id()}').render({}, { host })).toThrow(/'messageId' failed: no database/)
    expect(() => compile('{message_id()}').render({})).toThrow(/this rendering has no 'messageId'/)
    const link = () => {
      throw new Error('no key')
    }
    expect(() => compile('<a href="x">').render({}, { link })).toThrow(/the link could not be made: no key/)
  })

  it('a snippet that has gone is an error of the rendering if the caller wants it so', () => {
    const template = compile("{include 'gone'}", { missingSnippet: 'render' })
    expect(() => template.render({})).toThrow(/no snippet 'gone' any more/)
  })
})

describe('lenient mode', () => {
  it('takes what it cannot read as text and says so', () => {
    const template = compile('a {b c} {nosuch(1)} {if x}', { mode: 'lenient' })
    expect(template.render({})).toBe('a {b c} {nosuch(1)} {if x}')
    expect(template.warnings.map(({ column }) => column)).toEqual([6, 10, 21])
  })

  const cases: [source: string, output: string][] = [
    ['{/if}{else}{case 1}', '{/if}{else}{case 1}'],
    ['{foreach [1] as x}{break}{x}', '{foreach [1] as x}{break}'],
    ['{if 1}a{else}b', '{if 1}a{else}b'],
    ['{switch 1}{case 1}x{/case}', '{switch 1}{case 1}x{/case}'],
    ['{foreach [1,2] as x}{if x}{x}{/foreach}', '{foreach [1,2] as x}{if x}{/foreach}'],
    ["{include 'none'}x", 'x'],
    ['{* open', '{* open'],
    ["{api_user({'a':1})}", "{api_user({'a':1})}"],
  ]
  for (const [source, output] of cases) {
    it(source, () => expect(compile(source, { mode: 'lenient' }).render({})).toBe(output))
  }
})

describe('lint', () => {
  const codes = (source: string, options: LintOptions = {}) =>
    lint(source, { escaping: false, ...options }).map((warning) => warning.code)

  const cases: [source: string, codes: string[], options?: LintOptions][] = [
    ['{first_name}{x = 1}{x}', []],
    ['{nosuch()}', ['error']],
    ['{frist_name}{x = 1}{x}{email}', ['unset-variable'], { known: ['first_name'] }],
    [
      '{foreach content as c}{c.title}{[y for y in c.tags]}{/foreach}{map(content, lambda z: z.url)}',
      [],
      { known: ['content'] },
    ],
    ['{signup_confirm(lists)}', ['signup-may-be-missing']],
    ['{signup_confirm(profile.vars.l)}{signup_confirm(null)}', ['signup-may-be-missing', 'signup-may-be-missing']],
    ["{signup_confirm()}{signup_confirm(['A'])}{l = ['A']}{signup_confirm(l)}", []],
    ['{if profile.optout == "all"}x{/if}', ['optout-all-only']],
    ['{if "all" == profile.optout}x{/if}', ['optout-all-only']],
    ['{if profile.optout}{profile.optout == "all" ? 1 : 2}{/if}', []],
    ['{profile.optout == "all" ? 1 : profile.optout == "basic" ? 2 : 3}', []],
    ['{if signup_lists}{signup_confirm(signup_lists)}{/if}{if length(l) > 0}{signup_confirm(l)}{/if}', []],
    ['{assert(signup_lists)}{signup_confirm(signup_lists)}', []],
    ['{signup_confirm(x ?: null)}{signup_confirm(x ? [x] : "")}', ['signup-may-be-missing', 'signup-may-be-missing']],
    ["{signup_confirm(x ?: ['A'])}{signup_confirm([x])}", []],
    ["{if profile['optout'] == 'all'}x{/if}", ['optout-all-only']],
    ["{if profile.optout != 'all'}you still get mail{/if}", ['optout-all-only']],
    ["{switch profile.optout}{case 'all'}x{/case}{/switch}", ['optout-all-only']],
    ["{switch profile.optout}{case 'all'}x{/case}{case 'basic'}y{/case}{/switch}", []],
    ['{optout_confirm_ur}{optout_url}', ['unset-variable']],
    ['{vip ? 1 : 2}{switch vip}{/switch}', ['bare-condition', 'bare-condition'], { context: 'page' }],
    ['{if result}x{/if}', [], { context: 'page', supplied: ['result'] }],
    ['{foreach cc as email}{/foreach}{view_url = 1}', ['shadows-standard', 'shadows-standard']],
    ['{push(x, 1)}{set("beacon", 1)}', ['name-in-quotes', 'shadows-standard']],
    ["{personalize({'algoritm': 'popular', 'size': 3})}", ['unknown-option']],
    ['{upper()}', ['missing-argument']],
    ['<!-- {a:b} -->', ['literal-tag']],
    ['{if vip}x{/if}{if profile.vars.vip}y{/if}', ['bare-condition'], { context: 'page' }],
    ['{first_name}{h(first_name)}{u(profile.email)}{upper(tier)}', ['unescaped', 'unescaped'], { escaping: true }],
    ['{optout_confirm_url}{length(x)}{"a" + first_name}{date("yyyy")}', ['unescaped'], { escaping: true }],
  ]
  for (const [source, expected, options] of cases) {
    it(`${source} → ${expected.join(', ') || 'nothing'}`, () => expect(codes(source, options)).toEqual(expected))
  }

  it('suggests the variable that was meant', () => {
    expect(lint('{frist_name}', { known: ['first_name'], escaping: false })[0]).toMatchObject({
      message: "nothing sets 'frist_name'; did you mean 'first_name'?",
      line: 1,
      column: 2,
    })
  })

  it('tells what the caller has nothing for', () => {
    const unserved = new Map([
      ['view_url', 'there is no browser view'],
      ['horizon_interest', 'nothing is known'],
    ])
    const source = "{view_url}{horizon_interest('a')}{email}"
    expect(lint(source, { unserved, escaping: false }).map(({ message, column }) => [message, column])).toEqual([
      ["'view_url' is empty: there is no browser view", 2],
      ["'horizon_interest': nothing is known", 12],
    ])
    expect(lint('{view_url = 1}{view_url}', { unserved, escaping: false })).toMatchObject([
      { code: 'shadows-standard' },
    ])
  })

  it('names variables that hide others', () => {
    const data = dataOf({ vars: { tier: 1, email: 'x' }, feed: { a: 1 }, profile: { vars: { tier: 2, b: 1 } } })
    expect(collisions(data)).toEqual([
      { name: 'tier', layers: ['vars', 'profile.vars'] },
      { name: 'email', layers: ['standard', 'vars'] },
    ])
  })

  it('knows what Setup asked about', () => {
    const content_html = '{optout_confirm_url}{signup_confirm(signup_lists)}'
    expect(lintMessage({ setup: '{assert(signup_lists)}', content_html }, { escaping: false })).toEqual([])
    expect(lintMessage({ content_html }, { escaping: false })).toMatchObject([{ code: 'signup-may-be-missing' }])
  })

  it('sees a message as a whole', () => {
    const source = {
      setup: '{a = 1}',
      subject: '{a}{b}',
      content_html: '{b = 1}{a}{b}{optout_confirm_url}',
      content_text: '{missing}',
    }
    const found = lintMessage(source, { known: [] }).map(({ code, field }) => [code, field])
    expect(found).toEqual([
      ['unset-variable', 'subject'],
      ['assigned-elsewhere', 'subject'],
      ['unset-variable', 'content_text'],
    ])
    expect(lintMessage({ content_html: '{x' })).toMatchObject([{ code: 'error', field: 'content_html' }])
  })
})
