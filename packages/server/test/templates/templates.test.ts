import { afterAll, beforeAll, expect, test } from 'vitest'
import { listAudit } from '../../src/account/audit.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { HOST_FUNCTIONS } from '../../src/templates/compile.ts'
import { EMPTY_FIELDS, sampleOf } from '../../src/templates/fields.ts'
import { createTemplates, type Templates } from '../../src/templates/templates.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

let fresh: FreshDatabase
let templates: Templates
let inUse = false
const clock = movableClock('2026-03-02T10:00:00Z')

beforeAll(async () => {
  fresh = await freshDatabase()
  const isInUse = async () => inUse
  templates = createTemplates({ db: fresh.db, clock, hostFunctions: HOST_FUNCTIONS, isInUse })
})
afterAll(() => fresh.drop())

async function saved(name: string, change: Parameters<Templates['save']>[1], restore?: number) {
  const outcome = await templates.save(name, change, { restore })
  if (!outcome.ok) throw new Error(outcome.problem)
  return outcome.template
}

test('a save changes only what it gives, and makes a revision', async () => {
  const first = await saved('Partial', { subject: 'One', content_html: '<p>Hello</p>', labels: { a: true, b: true } })
  clock.advance(1_000)
  const second = await saved('Partial', { subject: 'Two', is_basic: true, labels: { a: false, c: true } })
  expect(second).toMatchObject({ id: first.id, isBasic: true, modifiedAt: clock.now() })
  expect(second.fields).toMatchObject({ subject: 'Two', content_html: '<p>Hello</p>', labels: ['b', 'c'] })
  expect(await templates.revisionIds(first.id)).toEqual([second.revisionId, first.revisionId])
  expect((await templates.byRevisions([first.revisionId])).get(first.revisionId)?.fields.subject).toBe('One')
  const restored = await saved('Partial', {}, first.revisionId)
  expect(restored.fields.subject).toBe('One')
  expect(restored.revisionId).toBeGreaterThan(second.revisionId)
})

test('what does not compile is refused by field, line and column, and leaves nothing behind', async () => {
  const broken = await templates.save('Broken', { subject: 'x', content_html: '<p>\n  {if profile.optout}\n</p>' })
  expect(broken).toMatchObject({
    ok: false,
    reason: 'invalid',
    problem: expect.stringMatching(/content_html, line \d/),
  })
  expect(await templates.byName('Broken')).toBeNull()
  const absent = await templates.save('Broken', { content_html: '{promotion()}' })
  expect(absent).toMatchObject({ ok: false, problem: expect.stringContaining("'promotion' is not available") })
  expect(await templates.save('Broken', { from_email: 'nobody' })).toMatchObject({ ok: false, reason: 'invalid' })
})

test('a new name with a revision that is not its own is refused, and leaves nothing behind', async () => {
  const { revisionId } = await saved('Elsewhere', { subject: 'x' })
  for (const restore of [revisionId, 999_999]) {
    expect(await templates.save('Restored', {}, { restore })).toMatchObject({ ok: false, reason: 'unknown_revision' })
    expect(await templates.byName('Restored')).toBeNull()
  }
  const left = await fresh.db.selectFrom('template').select('name').where('name', '=', 'Restored').execute()
  expect(left).toEqual([])
})

test('who made a template transactional, or ordinary again, is written down for good', async () => {
  const author = { via: 'api', actor: 'key-1' } as const
  const first = await templates.save('Password', { subject: 'x', is_basic: true }, { author })
  await templates.save('Password', { subject: 'y' }, { author })
  await templates.save('Password', { is_basic: false }, { author: { via: 'api', actor: 'key-2' } })
  await templates.save('Password', { subject: '{if', is_basic: true }, { author })
  await templates.save('Password', {}, { author, restore: first.ok ? first.template.revisionId : 0 })
  const decisions = (await listAudit(fresh.db, 10)).filter(({ subject }) => subject === 'Password').reverse()
  expect(decisions.map(({ actor, from, to }) => [actor, from, to])).toEqual([
    ['key-1', 'ordinary', 'transactional'],
    ['key-2', 'transactional', 'ordinary'],
    ['key-1', 'ordinary', 'transactional'],
  ])
  expect(decisions[0]).toMatchObject({ via: 'api', action: 'template_kind', at: clock.now() })
  await expect(fresh.db.deleteFrom('audit').execute()).rejects.toThrow('audit is append-only')
})

test('a sample has content of its own over that of the template; whom it reaches is the same for all', async () => {
  await saved('Tested', { subject: 'One', content_html: 'Hello', is_basic: true })
  const change = { subject: ' Two\n', is_basic: false, labels: { new: true } }
  const outcome = await templates.save('Tested', change, { sample: 'B' })
  const fields = outcome.ok ? outcome.template.fields : EMPTY_FIELDS
  expect(fields).toMatchObject({ subject: 'One', is_basic: false, labels: ['new'] })
  expect(sampleOf(fields, 'B')).toMatchObject({ subject: 'Two', content_html: 'Hello', is_basic: false })
  expect(sampleOf(fields, 'C')).toBeNull()
  expect(await templates.save('Tested', { subject: '{if' }, { sample: 'B' })).toMatchObject({
    ok: false,
    problem: expect.stringContaining('sample B'),
  })
})

test('a refused change leaves the template as it was', async () => {
  await saved('Kept', { subject: 'good' })
  expect((await templates.save('Kept', { subject: '{if' })).ok).toBe(false)
  expect((await templates.byName('Kept'))?.fields.subject).toBe('good')
})

test('names tell upper from lower case and are sorted so; the public name defaults to the name', async () => {
  await saved('zeta', {})
  await saved('Zeta', { public_name: 'News' })
  const names = (await templates.all()).map((template) => template.name)
  expect(names.indexOf('Zeta')).toBeLessThan(names.indexOf('zeta'))
  expect((await templates.byName('zeta'))?.publicName).toBe('zeta')
  expect((await templates.byName('Zeta'))?.publicName).toBe('News')
})

test('only Opt-in Confirm, exactly so and with its link, is the opt-in confirmation', async () => {
  const content_html = '<a href="{signup_confirm()}">Yes</a>'
  expect((await saved('Opt-in Confirm', { content_html: 'Hello' })).isOptinConfirm).toBe(false)
  expect((await saved('Opt-in Confirm', { content_html })).isOptinConfirm).toBe(true)
  expect((await saved('opt-in confirm', { content_html })).isOptinConfirm).toBe(false)
  expect((await saved('Opt-in Confirm ', { content_html, is_optin: true })).isOptinConfirm).toBe(false)
})

test('line breaks around header fields are taken off', async () => {
  expect((await saved('Trimmed', { subject: '\r\nHello\n', from_name: ' Shop\n' })).fields).toMatchObject({
    subject: 'Hello',
    from_name: 'Shop',
  })
})

test('a removed template is gone by name but can still be sent as it was accepted; its name is free', async () => {
  const before = await saved('Gone', { subject: 'x' })
  inUse = true
  expect(await templates.remove('Gone')).toEqual({ ok: false, reason: 'in_use' })
  inUse = false
  expect(await templates.remove('Gone')).toEqual({ ok: true })
  expect(await templates.remove('Gone')).toEqual({ ok: false, reason: 'unknown' })
  expect(await templates.byName('Gone')).toBeNull()
  expect((await templates.byRevisions([before.revisionId])).size).toBe(1)
  expect((await saved('Gone', { subject: 'y' })).id).not.toBe(before.id)
})

test('partial saves at the same time do not lose each other', async () => {
  await Promise.all([saved('Both', { subject: 's' }), saved('Both', { from_name: 'f' }), saved('Both', { setup: '' })])
  expect((await templates.byName('Both'))?.fields).toMatchObject({ subject: 's', from_name: 'f' })
})
