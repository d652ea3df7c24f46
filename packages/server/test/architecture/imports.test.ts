import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, it } from 'vitest'

const SRC = resolve(import.meta.dirname, '../../src')
/** Doors: what the outside talks to. Nothing but the composition root, the roles and other files of a door use them. */
const DOORS = ['api', 'pages', 'tracking', 'console', 'cli']
/** A door that shows pages as another does them. */
const SHARED = [['tracking', 'pages']]
/** Files at the top of the tree put things together and may use everything. */
const folderOf = (file: string) => relative(SRC, file).split('/').slice(0, -1)[0] ?? ''

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join(SRC, name))

const imports = files.flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(/(?:from|import|import\()\s*'(\.{1,2}\/[^']+)'/g)].map((match) => ({
    from: file,
    to: resolve(dirname(file), match[1]!),
  })),
)

it('finds the imports it is to judge', () => {
  expect(files.length).toBeGreaterThan(50)
  expect(imports.length).toBeGreaterThan(100)
})

it('capabilities import no door', () => {
  const wrong = imports.filter(({ from, to }) => {
    const [user, used] = [folderOf(from), folderOf(to)]
    if (SHARED.some(([one, other]) => one === user && other === used)) return false
    return DOORS.includes(used) && user !== used && user !== '' && user !== 'roles' && user !== 'cli'
  })
  expect(wrong.map(({ from, to }) => `${relative(SRC, from)} → ${relative(SRC, to)}`)).toEqual([])
})

it('the platform imports nothing but itself', () => {
  const wrong = imports.filter(({ from, to }) => folderOf(from) === 'platform' && folderOf(to) !== 'platform')
  expect(wrong.map(({ from, to }) => `${relative(SRC, from)} → ${relative(SRC, to)}`)).toEqual([])
})
