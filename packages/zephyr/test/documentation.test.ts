import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FUNCTIONS } from '../src/functions/index.ts'
import { outcome } from './conformance/fixture.ts'

const text = readFileSync(new URL('../../../docs/zephyr.md', import.meta.url), 'utf8')

describe('the language reference', () => {
  const examples = [...text.matchAll(/```zephyr\n(.*?)\n```\n\n```output\n(.*?)\n```/gs)]
  for (const [, source, output] of examples) {
    it(source!, () => expect(outcome(source!)).toBe(output))
  }

  it('shows the output of every example', () => {
    expect(text.match(/```zephyr/g)).toHaveLength(examples.length)
  })

  it('names every function', () => {
    const unnamed = [...FUNCTIONS.keys()].filter(
      (name) => name !== 'api_set_email' && !new RegExp(`\`${name}[\`(]`).test(text),
    )
    expect(unnamed).toEqual([])
  })
})
