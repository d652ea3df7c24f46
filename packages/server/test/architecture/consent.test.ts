import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { BELONGINGS } from '../../src/belongings.ts'
import { freshDatabase } from '../support/database.ts'

/* Promises of docs/consent.md and docs/architecture.md about where things are. */

const SRC = resolve(import.meta.dirname, '../../src')
const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('migrations/'))
  .map((name) => ({ name, text: readFileSync(join(SRC, name), 'utf8') }))

const naming = (what: RegExp) => files.filter(({ text }) => what.test(text)).map(({ name }) => relative('', name))

it('whether a refusal is newer than a permission is asked in the rule and nowhere else', () => {
  expect(naming(/\bisNewer\b/)).toEqual(['profiles/newest.ts', 'profiles/rule.ts'])
  expect(naming(/\bmayRejoin\b/)).toEqual(['profiles/newest.ts', 'profiles/rule.ts'])
  // Nobody compares numbers of decisions, in TypeScript or SQL; they are only handed on.
  const compared =
    /(?:asOf|as_of|\bdecided\b|refusals\.\w+)\s*(?:\?\?\s*0\))?\s*[<>]=?\s|(?<![=-])[<>]=?\s*(?:\w+\.)?(?:asOf|as_of|decided)\b/
  const inside = ['profiles/newest.ts', 'profiles/wishes.ts']
  expect(naming(compared).filter((name) => !inside.includes(name))).toEqual([])
})

it('moments of clocks decide nothing about refusals', () => {
  const compared = /(?:refusedAt|refused_at|left_at|leftAt)\s*[<>]=?\s/
  // Mail servers refuse mail as well: `delivery/` speaks of theirs.
  expect(naming(compared).filter((name) => !name.startsWith('delivery/'))).toEqual([])
})

it('the memory of addresses is written and read in profiles/ only', () => {
  const outside = naming(/\b(?:remembered_address|profile_moved)\b/).filter((name) => !name.startsWith('profiles/'))
  // Who joins people to rows by id asks where they moved; nobody else writes.
  for (const name of outside) {
    const { text } = files.find((file) => file.name === name)!
    expect(text, name).not.toMatch(/(?:insert into|update|delete from) (?:remembered_address|profile_moved)/)
  }
})

/** What becomes of each table about people when they are merged or erased. A new table has to be put here. */
const TABLES = {
  profiles: ['profile_key', 'list_member', 'list_left', 'verified_profile', 'profile_moved', 'returned_address'],
  consent: ['template_optout', 'consent_ledger', 'used_token'],
  sends: ['message'],
  activity: ['message_event', 'profile_activity', 'link_act'],
  purchases: ['purchase'],
  // Runs and signals find the survivor by themselves; they hold ids and no words of the person.
  flows: ['flow_match', 'flow_memory', 'flow_run', 'flow_log'],
  signals: ['signal'],
  postbacks: ['postback'],
}

it('every table about people says what becomes of people who are merged or erased', async () => {
  const { db, drop } = await freshDatabase()
  const { rows } = await sql<{ name: string }>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'profile_id' order by 1`.execute(db)
  await drop()
  expect(rows.map(({ name }) => name)).toEqual(Object.values(TABLES).flat().sort())
  expect(BELONGINGS.map(({ subject }) => subject).sort()).toEqual(['activity', 'purchases', 'sends'])
})

it('no file outside a subject names the rows that a merge moves', () => {
  for (const { subject } of BELONGINGS) {
    const tables = TABLES[subject as keyof typeof TABLES]
    const moving = new RegExp(`delete from (?:${tables.join('|')})\\b`)
    const wrong = naming(moving).filter((name) => !name.startsWith(`${subject}/`))
    expect(wrong, subject).toEqual([])
  }
})
