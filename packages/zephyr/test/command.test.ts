import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { example } from './conformance/fixture.ts'
import { CASES } from './conformance/language.ts'

const command = fileURLToPath(new URL('../bin/zephyr.js', import.meta.url))
const fixture = JSON.parse(readFileSync(new URL('./conformance/fixture.json', import.meta.url), 'utf8'))

function zephyr(args: string[], input = '') {
  const { stdout, stderr, status } = spawnSync(process.execPath, [command, ...args], { input, encoding: 'utf8' })
  return { stdout, stderr, status }
}

describe('the command', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'zephyr-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }

  it('renders a file', () => {
    const template = file('a.html', 'Ahoy {first_name}, {email} {{tier}}')
    const data = file('a.json', '{"first_name": "Ada", "profile": {"email": "a@b.c", "vars": {"tier": "gold"}}}')
    expect(zephyr(['render', template, data])).toEqual({ stdout: 'Ahoy Ada, a@b.c gold', stderr: '', status: 0 })
  })

  it('explains what is wrong with a file', () => {
    const template = file('b.html', 'x\n{uper(1)}')
    const { stdout, stderr, status } = zephyr(['render', template])
    expect([stdout, status]).toEqual(['', 1])
    expect(stderr).toContain("did you mean 'upper'?")
    expect(stderr).toContain('line 2, column 2)\n{uper(1)}\n ^')
    expect(zephyr(['check', template])).toMatchObject({
      status: 1,
      stdout: `${template}:2:2 error: unknown function 'uper'; did you mean 'upper'?\n`,
    })
  })

  it('renders line by line', () => {
    const rows = [
      { template: 'Hi {name}', data: { name: 'Kit' } },
      { template: '{if', data: {} },
      { template: "{assert(false, 'no')}" },
      { template: '{q}{request}', context: 'page', data: { request: { q: '<' } } },
      { template: "{x = 'é\n'}{x}" },
      { template: '{n}', setup: '{n = 3}' },
      { template: "{date('HH:mm')}", env: { now: 0, timeZone: 'Asia/Tokyo' } },
      { nothing: 1 },
      { template: '{a}{b}{c}', data: { send_vars: { a: 1, b: 2 }, evars: { b: 3 }, test_vars: { c: 4, a: 5 } } },
      { template: 'x', context: 'nowhere' },
      { template: 'x', data: [] },
    ]
    const { stdout } = zephyr(['render', '--jsonl'], `${rows.map((row) => JSON.stringify(row)).join('\n')}\nnot json\n`)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toMatchObject([
      { output: 'Hi Kit' },
      { kind: 'compile', line: 1, column: 1 },
      { error: 'no', kind: 'assert', line: 1, column: 2 },
      { output: '&lt;' },
      { output: 'é\n' },
      { output: '3' },
      { output: '09:00' },
      { kind: 'input', line: null },
      { output: '134' },
      { kind: 'input', error: "context is one of mail, page, setup, link, trigger, not 'nowhere'" },
      { kind: 'input' },
      { kind: 'input' },
    ])
  })

  it('gives the conformance rows their outcomes', () => {
    const rows = CASES.filter((row) => row.change === undefined)
    const input = rows.map(({ template }) => JSON.stringify({ template, data: fixture })).join('\n')
    const { stdout } = zephyr(['render', '--jsonl'], input)
    const outcomes = stdout
      .trim()
      .split('\n')
      .map((line) => {
        const { output, error, kind } = JSON.parse(line)
        if (output !== undefined) return output
        return kind === 'compile'
          ? 'COMPILE ERROR'
          : kind === 'assert' || kind === 'cancel'
            ? `CANCELLED: ${error}`
            : 'RENDER ERROR'
      })
    expect(outcomes).toEqual(rows.map(({ expected }) => expected))
  })

  it('renders a complete page', () => {
    const data = { ...fixture, request: { list: 'Harbor Weekly' } }
    const line = JSON.stringify({ template: example('optout-page.template'), data, context: 'page' })
    expect(JSON.parse(zephyr(['render', '--jsonl'], line).stdout).output).toBe(example('optout-page.mailable'))
  })

  it('shows how it is used', () => {
    expect(zephyr([]).status).toBe(2)
    expect(zephyr(['render', '--nonsense'])).toMatchObject({ status: 2, stdout: '' })
    expect(zephyr(['render', '/nowhere.html'])).toMatchObject({
      status: 1,
      stderr: expect.not.stringContaining(' at '),
    })
    expect(zephyr(['--help'])).toMatchObject({ status: 0 })
  })
})
