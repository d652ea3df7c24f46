import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/index.ts'
import { ACTS, backByJoining, DAY, type House, house, line } from './support.ts'

let h: House
let folder: string
let env: Record<string, string>
beforeAll(async () => {
  h = await house()
  const { user, password, host, database } = h.connection
  env = { FAIRLEAD_DATABASE_URL: `postgres://${user}:${password}@/${database}?host=${host}` }
  folder = mkdtempSync(join(tmpdir(), 'fairlead-flow-'))
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await h.drop()
})

async function fairlead(...args: string[]) {
  const said: string[] = []
  const complaints: string[] = []
  const code = await runCommand(args, env, {
    print: (text) => void said.push(text),
    complain: (text) => void complaints.push(text),
  })
  return { code, said, complaints }
}

function file(content: object | string): string {
  const path = join(folder, 'flow.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

it('says what is missing, publishes when it is there, and publishes again as the next version', async () => {
  expect((await fairlead('flow', 'list')).said).toEqual(['No flows yet: publish one with "fairlead flow publish FILE"'])
  const flow = backByJoining('Weekly', { sources: ['confirm_link'] })
  const path = file(flow)
  expect(await fairlead('flow', 'publish', path)).toEqual({
    code: 1,
    said: [],
    complaints: [
      'warning: step "joined": there is no list "Weekly" yet: publishing makes it',
      'error: step "welcome": there is no template "Welcome": create it, or correct the name',
      `fairlead: ${path} was not published: one thing is wrong, see above`,
    ],
  })
  await h.template('Welcome')
  expect(await fairlead('flow', 'publish', '--check', path)).toMatchObject({
    code: 0,
    said: [`${path} can be published as "Back by joining Weekly"`],
  })
  expect((await fairlead('flow', 'list')).said).toHaveLength(1)
  expect(await fairlead('flow', 'publish', path)).toMatchObject({
    code: 0,
    said: ['Published version 1 of "Back by joining Weekly"'],
  })
  expect((await fairlead('flow', 'publish', path)).said).toEqual([
    'Version 1 of "Back by joining Weekly" is in force already',
  ])
  expect((await fairlead('flow', 'publish', file({ ...flow, description: 'x' }))).said).toEqual([
    'Published version 2 of "Back by joining Weekly"',
  ])
})

it.each([
  ['no file', () => join(folder, 'nothing.json'), /^fairlead: .*nothing\.json cannot be read: /],
  ['no JSON', () => file('{'), /^fairlead: .*flow\.json is not JSON: /],
  ['no flow', () => file('[]'), /^error: it is an object$/],
])('%s is a clear line and a failure', async (_what, path, expected) => {
  const { code, said, complaints } = await fairlead('flow', 'publish', path())
  expect({ code, said }).toEqual({ code: 1, said: [] })
  expect(complaints[0]).toMatch(expected)
})

it('lists what became of people', async () => {
  const flow = line('Daily', [
    ['joined', 'list_joined', { lists: ['Daily'] }],
    ['day', 'time', { for: { amount: 1, unit: 'days' } }],
  ])
  expect((await fairlead('flow', 'publish', file(flow))).code).toBe(0)
  const [early, late] = [await h.person(), await h.person()]
  await h.join(early, 'Daily', ACTS.api)
  h.clock.advance(DAY)
  await h.settle()
  await h.join(late, 'Daily', ACTS.api)
  const { said } = await fairlead('flow', 'list')
  expect(said[0]).toMatch(/^Flow +Status +Version +Entered +In progress +Ended +Refused$/)
  expect(said).toContainEqual(expect.stringMatching(/^Daily +active +v1 +2 +1 +1 +0$/))
  const json = (await fairlead('flow', 'list', '--json')).said.map((text) => JSON.parse(text))
  expect(json).toContainEqual(
    expect.objectContaining({ name: 'Daily', entered: 2, inProgress: 1, ended: 1, refused: 0 }),
  )
  expect((await fairlead('flow', 'hold', 'Daily')).said).toEqual(['Daily is held'])
  expect((await fairlead('flow', 'list')).said).toContainEqual(expect.stringMatching(/^Daily +active, held /))
  expect((await fairlead('flow', 'release', 'Daily')).said).toEqual(['Daily goes on'])
  expect((await fairlead('flow', 'retry', 'Daily')).said).toEqual(['0 in Daily try again'])
  expect((await fairlead('flow', 'deactivate', 'Daily')).said).toEqual(['Daily is off; 1 in progress left it'])
  expect(await fairlead('flow', 'deactivate', 'Dayly')).toMatchObject({
    code: 1,
    complaints: ['fairlead: there is no flow "Dayly": see "fairlead flow list"'],
  })
})
