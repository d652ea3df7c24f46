import {
  CompileError,
  type Context,
  compile,
  type Data,
  dataOf,
  type Host,
  labelled,
  lint,
  type Profile,
  print,
  RenderError,
  Stop,
} from '../src/index.ts'
import { dataFor, envFor, example } from './conformance/fixture.ts'
import { CASES } from './conformance/language.ts'

/** A small generator of its own, so that a seed found here can be replayed anywhere. */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const WORDS = [
  ...[
    '{',
    '}',
    '{{',
    '}}',
    '{*',
    '*}',
    '{/if}',
    '{else}',
    '{elseif 1}',
    '{if ',
    '{foreach ',
    ' as ',
    '{switch 1}',
    '{case 1}',
  ],
  ...[
    '{/case}',
    '{/switch}',
    '{/foreach}',
    '{select}',
    '{/select}',
    '{break}',
    '{continue}',
    "{include 'a'}",
    'lambda x: ',
    'x',
  ],
  ...[
    '(',
    ')',
    '[',
    ']',
    ',',
    '.',
    ':',
    '?',
    '?:',
    '=',
    '==',
    '!=',
    '<',
    '<=',
    '&&',
    '||',
    '!',
    '-',
    '+',
    '*',
    '/',
    '%',
    ' ',
  ],
  ...[
    "'",
    '"',
    '\\',
    '&quot;',
    '&#39;',
    '&amp;',
    '&nbsp;',
    '\n',
    '\t',
    '\u0000',
    '\ud800',
    'é',
    '😀',
    '\u00a0',
    '<',
    '>',
  ],
  ...['<style>', '</style>', '<script>', '</script>', '<!--', '-->', '<a href="', '" onclick="', "'", '<textarea>'],
  ...[
    'true',
    'null',
    '0',
    '1.5',
    '99999999999',
    'content',
    'profile',
    'email',
    '__proto__',
    'constructor',
    'for y in ',
    ' if ',
  ],
  ...[
    'range(1,9)',
    'sort(content)',
    "push('x', 1)",
    "set('y', x)",
    "date('yyyy', 1)",
    "time('+1 week')",
    'number(1.5, 2)',
  ],
  ...[
    'signup_confirm(x)',
    'h(',
    'join(',
    'map(',
    "split('a b', ' ')",
    "replace('aaa','a',",
    'promotion()',
    'upper(',
    'text(',
  ],
]

const CORPUS = [
  ...CASES.map((row) => row.template),
  ...['optout-page', 'preferences', 'confirm-mail', 'receipt'].map((name) => example(`${name}.template`)),
]

/** A template that was once sensible. */
export function mutant(random: () => number): string {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  let text = random() < 0.1 ? '' : pick(CORPUS)
  const changes = 1 + Math.floor(random() * 12)
  for (let i = 0; i < changes; i++) {
    const at = Math.floor(random() * (text.length + 1))
    const span = Math.floor(random() * 12)
    const kind = random()
    if (kind < 0.45) text = text.slice(0, at) + pick(WORDS) + text.slice(at)
    else if (kind < 0.6) text = text.slice(0, at) + text.slice(at + span)
    else if (kind < 0.75)
      text = text.slice(0, at) + String.fromCharCode(Math.floor(random() * 256)) + text.slice(at + 1)
    else if (kind < 0.85) text = text.slice(0, at) + text.slice(at, at + span * 4).repeat(2) + text.slice(at + span * 4)
    else {
      const other = pick(CORPUS)
      const from = Math.floor(random() * other.length)
      text = text.slice(0, at) + other.slice(from, from + span * 5) + text.slice(at)
    }
  }
  return text
}

const host: Host = {
  ...envFor().host,
  promotion: () => ({ code: 'X', vars: {} }),
  personalize: () => [{ url: 'u', title: 't' }],
  publicShare: () => 'p',
  ad: () => '',
  adinfo: () => null,
  geoHome: () => null,
  geoRegion: () => null,
  apiUser() {},
  apiSend() {},
  apiEvent() {},
  appendUserVar() {},
}
const env = { ...envFor(), host, limits: { rounds: 5000, output: 200_000, work: 2_000_000, time: 2000 } }
const snippets = (name: string) => (name === 'a' ? '{x = 1}[{first_name}]' : undefined)
const CONTEXTS: readonly Context[] = ['mail', 'page', 'setup', 'link', 'trigger']

const FIXTURE = dataFor({}, { request: { list: '<b>"x"</b>', x: ['a', { b: '<' }] } })
const NAMES = ['x', 'y', 'content', 'first_name', 'points', 'tier', 'missing', 'topics', 'signup_lists', 'blast', 'l']
const KEYS = ['title', 'url', 'vars', 'tags', 'price', 'pinned', '0', '', '__proto__', 'constructor', 'items', 'x y']
const SCALARS = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e300,
  '',
  '0',
  'a',
  '<b>"\'',
  '{x}',
  '\ud800',
  '2024-06-15',
  'é😀',
  'none',
]

/** Any JSON, of the shapes that templates are not made for. */
function oddValue(random: () => number, depth = 0): unknown {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  const kind = random()
  if (depth > 3 || kind < 0.5) return pick(SCALARS)
  const count = Math.floor(random() * 4)
  if (kind < 0.75) return Array.from({ length: count }, () => oddValue(random, depth + 1))
  // Through JSON, so that a key such as __proto__ is a key.
  return JSON.parse(
    `{${Array.from({ length: count }, () => `${JSON.stringify(pick(KEYS))}:${JSON.stringify(oddValue(random, depth + 1))}`).join(',')}}`,
  )
}

function oddData(random: () => number): Data {
  const values = () => Object.fromEntries(NAMES.map((name) => [name, oddValue(random)]))
  const vars = oddValue(random)
  const lists = oddValue(random)
  return dataOf({
    standard: { email: oddValue(random) },
    request: values(),
    profile: random() < 0.2 ? null : ({ ...values(), vars, lists, optout: oddValue(random) } as Profile),
    named: { content: oddValue(random), template: labelled('T', { name: oddValue(random) }) },
  })
}

/** Puts one template through everything; returns what went wrong, or nothing. */
export function tried(template: string, random: () => number): string | null {
  const context = CONTEXTS[Math.floor(random() * CONTEXTS.length)]!
  const braces = random() < 0.1 ? 'single' : random() < 0.1 ? 'double' : 'both'
  for (const mode of ['strict', 'lenient'] as const) {
    const started = performance.now()
    try {
      const compiled = compile(template, { mode, context, snippets, braces })
      // A brace that failed to be a tag may become one when the quotes of later tags are written otherwise.
      if (mode === 'strict' && !/"text":"[^"]*\{/.test(JSON.stringify(compiled.ast.nodes))) {
        const again = compile(print(compiled.ast), { mode, context, snippets, braces })
        if (withoutPlaces(again.ast.nodes) !== withoutPlaces(compiled.ast.nodes)) return 'printing changed the tree'
      }
      void compiled.reads
      void compiled.warnings
      lint(compiled, { context, known: ['x'] })
      try {
        compiled.render(random() < 0.5 ? FIXTURE : oddData(random), env)
      } catch (error) {
        if (error instanceof Stop) continue
        if (!(error instanceof RenderError)) return `render threw ${error}`
        if (error.kind === 'internal') return `internal: ${error.message} ${(error.cause as Error)?.stack}`
      }
    } catch (error) {
      if (!(error instanceof CompileError)) return `compile threw ${(error as Error)?.stack ?? error}`
      if (mode === 'lenient') return `lenient mode refused: ${error.message}`
    } finally {
      const took = performance.now() - started
      if (took > 4000) console.error(`slow: ${Math.round(took)} ms for ${JSON.stringify(template)}`)
    }
  }
  return null
}

/** A tree as text without what depends on how it was written: offsets, and the wording of links. */
export function withoutPlaces(nodes: unknown): string {
  return JSON.stringify(nodes, (key, value) => (key === 'at' || key === 'source' ? undefined : value))
}
