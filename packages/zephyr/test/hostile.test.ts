import { describe, expect, it } from 'vitest'
import { CompileError, compile, dataOf, RenderError } from '../src/index.ts'
import { envFor } from './conformance/fixture.ts'

const KB = 'x'.repeat(1024)

/** Time of the processor, which others on the machine do not stretch. */
const busy = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Renders and gives the error, and sees to it that neither compiling nor rendering takes long. */
function failure(source: string, milliseconds = 3000): string {
  const start = busy()
  try {
    return `rendered ${compile(source).render(dataOf({ vars: { kb: KB } }), envFor()).length}`
  } catch (error) {
    if (error instanceof RenderError) return `render ${error.kind}`
    if (error instanceof CompileError) return 'compile'
    return `crashed: ${error}`
  } finally {
    expect(busy() - start).toBeLessThan(milliseconds)
  }
}

const many = (text: string, count: number) => text.repeat(count)

describe('templates meant to do harm', () => {
  const rendering: [what: string, source: string][] = [
    ['loops in loops', '{foreach range(1,9999) as a}{foreach range(1,9999) as b}{/foreach}{/foreach}'],
    ['comprehensions', '{[[1 for b in range(1,9999)] for a in range(1,9999)]}'],
    ['map in map', '{map(range(1,9999), lambda a: map(range(1,9999), lambda b: b))}'],
    ['recursion', '{f = lambda n: f(n)}{f(1)}'],
    ['branching recursion', '{f = lambda n: n > 60 ? 1 : f(n + 1) + f(n + 1)}{f(1)}'],
    ['recursion through sort', '{f = lambda a, b: sort([3,1,2,4,5,6], f)}{f(1, 2)}'],
    ['doubling text', '{s = kb}{foreach range(1,100) as i}{s = s + s}{/foreach}{s}'],
    ['doubling lists', '{l = [1]}{foreach range(1,100) as i}{l = l + l}{/foreach}'],
    ['doubling by printing', '{l = [kb]}{foreach range(1,100) as i}{l = [l, l]}{/foreach}{l}'],
    ['doubling by comparing', '{a = [1]}{b = [1]}{foreach range(1,90) as i}{a = [a, a]}{b = [b, b]}{/foreach}{a == b}'],
    ['nesting lists', '{l = []}{foreach range(1,9999) as i}{l = [l]}{/foreach}{l}'],
    ['nesting objects', "{o = {}}{foreach range(1,9999) as i}{o = {'o': o}}{/foreach}{o}"],
    ['a list in itself', "{l = []}{push('l', l)}{l}"],
    ['an object in itself', '{o = {}}{o.o = o}{o}'],
    ['comparing circles', "{a = []}{push('a', a)}{b = []}{push('b', b)}{a == b}"],
    ['endless output', `{foreach range(1,9999) as i}${KB}{/foreach}`],
    [
      'output without a loop',
      many('{s}', 3).replace('{s}', '{s = kb}{foreach range(1,10) as i}{s = s + s}{/foreach}{s}{s}{s}'),
    ],
    ['replace', "{s = kb}{foreach range(1,10) as i}{s = s + s}{/foreach}{replace(s, 'x', s)}"],
    ['join', '{join([kb for i in range(1,9999)], kb)}'],
    ['upper kept', '{s = kb}{foreach range(1,10) as i}{s = s + s}{/foreach}{l = [upper(s + i) for i in range(1,999)]}'],
    [
      'hashing',
      '{s = kb}{foreach range(1,10) as i}{s = s + s}{/foreach}{foreach range(1,9999) as i}{md5(s)}{/foreach}',
    ],
    [
      'searching',
      "{s = kb}{foreach range(1,10) as i}{s = s + s}{/foreach}{foreach range(1,9999) as i}{x = strpos(s, s + 'y')}{/foreach}",
    ],
    [
      'comparing',
      "{s = kb}{foreach range(1,10) as i}{s = s + s}{/foreach}{t = s + 'a'}{s = s + 'b'}{foreach range(1,9999) as i}{x = s == t}{/foreach}",
    ],
    [
      'indexing',
      '{s = kb}{foreach range(1,10) as i}{s = s + s}{/foreach}{foreach range(1,9999) as i}{x = s[i]}{/foreach}',
    ],
    [
      'merging',
      '{o = {}}{foreach range(1,9999) as i}{o[i] = 1}{/foreach}{foreach range(1,9999) as i}{p = o + o}{/foreach}',
    ],
    ['membership', '{l = range(1,9999)}{foreach l as i}{x = contains(l, -1)}{/foreach}'],
    [
      'intersections',
      '{l = range(1,9999)}{x = intersect(l, range(20000,30000))}{foreach l as i}{x = intersect(l, [-1])}{/foreach}',
    ],
    [
      'random keys',
      '{o = {}}{foreach range(1,9999) as i}{foreach range(1,9999) as j}{o[i * 10000 + j] = kb}{/foreach}{/foreach}',
    ],
  ]
  for (const [what, source] of rendering) {
    it(what, () => expect(failure(source)).toBe('render limit'))
  }

  const compiling: [what: string, source: string][] = [
    ['parentheses', `{${many('(', 100_000)}1`],
    ['closed parentheses', `{${many('(', 5000)}1${many(')', 5000)}}`],
    ['lists', `{${many('[', 100_000)}`],
    ['objects', `{x = ${many('{a:', 50_000)}`],
    ['negations', `{${many('!', 100_000)}1}`],
    ['minus', `{${many('-', 100_000)}1}`],
    ['ternaries', `{${many('1 ? 1 : ', 50_000)}1}`],
    ['fallbacks', `{${many('a ?: ', 50_000)}1}`],
    ['assignments', `{${many('a = ', 50_000)}1}`],
    ['lambdas', `{${many('lambda: ', 50_000)}1}`],
    ['paths', `{a${many('.a', 100_000)}}`],
    ['indexes', `{a${many('[0]', 100_000)}}`],
    ['blocks', many('{if 1}', 50_000)],
    ['closed blocks', many('{if 1}', 500) + many('{/if}', 500)],
    ['an unclosed text', `{"${many('a', 500_000)}`],
    ['an unclosed comment', `{*${many('{*', 300_000)}`],
    ['a source too long', many('x', 1_000_001)],
  ]
  for (const [what, source] of compiling) {
    it(`compiling: ${what}`, () => expect(failure(source)).toBe('compile'))
  }

  const fine: [what: string, source: string][] = [
    ['long sums', `{${many('1 + ', 50_000)}1}`],
    ['long conditions', `{${many('a || ', 50_000)}1}`],
    ['long lists', `{length([${many('1,', 100_000)}])}`],
    ['braces in a style sheet', `<style>${many('{a:b}', 100_000)}</style>`],
    ['unclosed braces in a style sheet', `<style>${many('{[1,', 100_000)}`],
    ['comments in a script', `<script>${many('{*', 300_000)}`],
    ['open quotes in a script', `<script>${many('{"\'', 200_000)}`],
    ['open tags', many('<a href="', 100_000)],
    ['many links', many('<a href="x">y</a>', 40_000)],
    ['open comments', many('<!-- {a:', 100_000)],
    ['entities', `{length([${many('&quot;a&quot;,', 50_000)}])}`],
    ['escapes', `{length('${many('\\u0041', 100_000)}')}`],
    ['markup for text()', `{length(text('${many('<a b="', 100_000)}'))}`],
    ['markup for strip_tags()', `{length(strip_tags('${many('<a =" <!-- ', 80_000)}'))}`],
    ['attributes for text()', `{length(text('<a ${many('a= ', 200_000)}>'))}`],
    ['white space for first()', `{first('${many(' ', 500_000)}')}`],
    ['a number of many digits', `{int('${many('1', 500_000)}')}`],
    ['a long date pattern', `{length(date('${many('y', 500_000)}'))}`],
    ['a long decimal pattern', `{length(number(1, '${many('0', 500_000)}'))}`],
    ['a long word in a script', `<script>{f(1)}${many('a', 500_000)}</script>`],
    ['a long attribute for text()', `{length(text('${many(`<a ${many('b', 9_000)}>`, 50)}'))}`],
    ['a long time', `{time('${many('1 ', 200_000)}')}`],
  ]
  for (const [what, source] of fine) {
    it(`no trouble: ${what}`, () => expect(failure(source)).toMatch(/^rendered/))
  }

  it('lenient mode takes all of it as text or renders it', () => {
    for (const [, source] of compiling.slice(0, -1)) {
      const start = busy()
      compile(source, { mode: 'lenient' })
      expect(busy() - start).toBeLessThan(3000)
    }
  })

  it('the time budget is the one that is set', () => {
    let clock = 0
    const env = { clock: () => (clock += 10), limits: { time: 50 } }
    expect(() => compile('{foreach range(1,9999) as i}{/foreach}').render({}, env)).toThrow(/longer than 50 ms/)
  })
})

describe('what a template can reach', () => {
  it('own properties of the data and nothing else', () => {
    class Secretive {
      own = 'own'
      get inherited() {
        return 'secret'
      }
    }
    const values = {
      o: new Secretive(),
      f: () => 'called',
      d: new Date(0),
      s: Symbol('s'),
      big: 10n,
      nan: Number.NaN,
      u: undefined,
    }
    const source = '{o.own}|{o.inherited}|{f}{f()}|{d.getTime}|{s}|{big}|{nan}|{u}'
    const lenient = compile(source, { mode: 'lenient' })
    expect(lenient.render({ layers: [{ name: 'x', values }] })).toBe('own||{f()}|||10||')
  })

  it('data of any shape', () => {
    const template = compile('{a}{length}{0}{profile.vars.a}{profile.lists[0].x}{foreach a as b}{b}{/foreach}')
    for (const vars of [null, [1], 'x', 5, { a: null }] as never[]) {
      expect(template.render(dataOf({ vars, profile: { vars, lists: vars, optout: vars }, feed: vars }))).toBe('0')
    }
  })

  it('not a polluted prototype', () => {
    const prototype = Object.prototype as unknown as Record<string, unknown>
    prototype.leaked = 'leaked'
    try {
      expect(
        compile('{leaked}{x = {}}{x.leaked}{o.leaked}{profile.leaked}').render(
          dataOf({ vars: { o: {} }, profile: {} }),
        ),
      ).toBe('')
    } finally {
      delete prototype.leaked
    }
  })

  it('data is not changed, and one rendering does not see another', () => {
    const content = [
      { n: 2, tags: ['b'] },
      { n: 1, tags: ['a'] },
    ]
    const data = dataOf({ named: { content }, profile: { lists: ['x'], vars: { l: [1] } } })
    const before = JSON.stringify(data)
    const template = compile(
      "{x = sort(content, 'n')}{push('l', 2)}{content[0].tags[0] = 'z'}{profile.lists[0] = 'y'}{content[0].n}{l}{profile.lists}",
    )
    expect([template.render(data), template.render(data)]).toEqual(['1[1, 2][y]', '1[1, 2][y]'])
    expect(JSON.stringify(data)).toBe(before)
  })

  it('works where code cannot be generated from text', async () => {
    const { execFileSync } = await import('node:child_process')
    const index = new URL('../src/index.ts', import.meta.url).href
    const code = `const { compile } = await import('${index}'); process.stdout.write(compile('{[x*2 for x in [1,2]]}').render({}))`
    const out = execFileSync(process.execPath, [
      '--disallow-code-generation-from-strings',
      '--input-type=module',
      '-e',
      code,
    ])
    expect(out.toString()).toBe('[2, 4]')
  })
})
