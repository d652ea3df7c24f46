import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expr } from '../src/ast.ts'
import { CompileError, compile, print, RenderError, Stop } from '../src/index.ts'
import { printExpr } from '../src/print.ts'
import { generator, mutant, tried, withoutPlaces } from './fuzzing.ts'

const at = 0
const names = fc.constantFrom('a', 'b', 'x', 'profile', 'content', 'in', 'as')
const keys = fc.oneof(names, fc.constantFrom('if', 'for', '__proto__', 'constructor', 'two words', '1'))

/** Any expression tree that some source stands for. */
const { expr } = fc.letrec<{ expr: Expr }>((tie) => {
  const inner = tie('expr')
  const list = (min: number) => fc.array(inner, { minLength: min, maxLength: 3 })
  const target = fc.oneof(
    names.map((name): Expr => ({ type: 'name', name, at })),
    fc
      .tuple(names, names)
      .map(([o, name]): Expr => ({ type: 'member', object: { type: 'name', name: o, at }, name, at })),
  )
  return {
    expr: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc
        .oneof(fc.string(), fc.nat(), fc.double({ min: 0, max: 1e9, noNaN: true }), fc.boolean(), fc.constant(null))
        .map((value): Expr => ({ type: 'value', value: Object.is(value, -0) ? 0 : value, at })),
      names.map((name): Expr => ({ type: 'name', name, at })),
      fc.tuple(inner, names).map(([object, name]): Expr => ({ type: 'member', object, name, at })),
      fc.tuple(inner, inner).map(([object, key]): Expr => ({ type: 'index', object, key, at })),
      fc
        .tuple(fc.constantFrom('upper', 'h', 'length', 'sort'), list(1))
        .map(([name, args]): Expr => ({ type: 'call', name, args, at })),
      list(0).map((items): Expr => ({ type: 'list', items, at })),
      fc
        .array(fc.tuple(keys, inner), { maxLength: 3 })
        .map((pairs): Expr => ({ type: 'object', entries: pairs.map(([key, value]) => ({ key, value })), at })),
      fc
        .tuple(inner, names, inner, fc.option(inner))
        .map(([item, name, over, test]): Expr => ({ type: 'comprehension', item, name, over, test, at })),
      fc
        .tuple(fc.constantFrom('!' as const, '-' as const), inner)
        .map(([op, operand]): Expr => ({ type: 'unary', op, operand, at })),
      fc
        .tuple(
          fc.constantFrom(['+', '-'] as const, ['*', '/', '%'] as const, ['==', '!='] as const, ['<', '>='] as const),
          inner,
          list(1),
        )
        .map(
          ([ops, first, rest]): Expr => ({
            type: 'binary',
            first,
            rest: rest.map((right, i) => ({ op: ops[i % ops.length]!, right })),
            at,
          }),
        ),
      fc
        .tuple(fc.constantFrom('&&' as const, '||' as const), list(2))
        .map(([op, operands]): Expr => ({ type: 'logic', op, operands, at })),
      fc
        .tuple(inner, inner, inner)
        .map(([test, then, otherwise]): Expr => ({ type: 'choice', test, then, else: otherwise, at })),
      fc.tuple(inner, inner).map(([value, otherwise]): Expr => ({ type: 'fallback', value, otherwise, at })),
      fc
        .tuple(fc.array(names, { maxLength: 2 }), inner)
        .map(([params, body]): Expr => ({ type: 'lambda', params, body, at })),
      fc.tuple(target, inner).map(([t, value]): Expr => ({ type: 'assign', target: t as never, value, at })),
    ),
  }
})

describe('properties', () => {
  it('text without tags comes out byte for byte', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const plain = text.replaceAll('{', '')
        return compile(plain).render({}) === plain
      }),
      { numRuns: 300 },
    )
  })

  it('printing an expression and reading it again gives the same tree', () => {
    fc.assert(
      fc.property(expr, (tree) => {
        const { ast } = compile(`{if ${printExpr(tree)}}{/if}`)
        const [node] = ast.nodes
        expect(withoutPlaces((node as { branches: { test: Expr }[] }).branches[0]!.test)).toBe(withoutPlaces(tree))
      }),
      { numRuns: 500 },
    )
  })

  it('printing a template and reading it again gives the same tree', () => {
    fc.assert(
      fc.property(expr, fc.string(), (tree, text) => {
        const source = `${text.replaceAll('{', '')}{${printExpr(tree).replace(/^(\{|in\b|as\b)/, '0 + $1')}}`
        const ast = compile(source, { mode: 'lenient', html: false }).ast
        expect(withoutPlaces(compile(print(ast), { mode: 'lenient', html: false }).ast.nodes)).toBe(
          withoutPlaces(ast.nodes),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('whatever the data, rendering gives text or one of its two errors', () => {
    const limits = { rounds: 2000, work: 1_000_000, output: 100_000 }
    fc.assert(
      fc.property(expr, fc.jsonValue(), fc.jsonValue(), fc.boolean(), (tree, a, b, page) => {
        const template = compile(
          `{${printExpr(tree)
            .replace(/^\{/, '({')
            .replace(/^\(\{.*/s, (all) => `${all})`)}}`,
          {
            mode: 'lenient',
            context: page ? 'page' : 'mail',
          },
        )
        try {
          const data = {
            layers: [{ name: 'vars', values: { a, b, x: [a, b], content: b }, tainted: true }],
            profile: { vars: { a } },
          }
          expect(typeof template.render(data, { limits })).toBe('string')
        } catch (error) {
          if (error instanceof Stop) return
          expect(error).toBeInstanceOf(RenderError)
          expect((error as RenderError).kind).not.toBe('internal')
        }
      }),
      { numRuns: 500 },
    )
  })

  it('lenient mode takes any text', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '{{',
      '{if ',
      '{/if}',
      '{* ',
      '<style>',
      '<a href="',
      "'",
      'x',
      '{foreach x as y}',
      '{break}',
    )
    fc.assert(
      fc.property(
        fc.array(fc.oneof(piece, fc.string({ unit: 'binary', maxLength: 5 })), { maxLength: 40 }),
        (pieces) => {
          const text = pieces.join('')
          const template = compile(text, { mode: 'lenient' })
          try {
            template.render({})
          } catch (error) {
            expect(error).toBeInstanceOf(RenderError)
          }
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('damaged templates only ever fail in the ways they should', () => {
    for (let seed = 1; seed <= 6000; seed++) {
      const random = generator(seed)
      const template = mutant(random)
      const wrong = tried(template, random)
      if (wrong !== null) throw new Error(`seed ${seed}: ${wrong}\n${JSON.stringify(template)}`)
    }
  })

  it('random bytes are refused or rendered, never more', () => {
    const random = generator(7)
    for (let i = 0; i < 2000; i++) {
      const bytes = Array.from({ length: Math.floor(random() * 60) }, () => Math.floor(random() * 256))
      const text = Buffer.from(bytes)
        .toString('latin1')
        .replace(/[\u0080-\u00ff]/g, '{')
      try {
        compile(text)
      } catch (error) {
        expect(error).toBeInstanceOf(CompileError)
      }
      compile(text, { mode: 'lenient' })
    }
  })
})
