import { afterAll, beforeAll, expect, test } from 'vitest'
import { movableClock } from '../../src/platform/clock.ts'
import { HOST_FUNCTIONS } from '../../src/templates/compile.ts'
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
  const outcome = await templates.save(name, change, restore)
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
