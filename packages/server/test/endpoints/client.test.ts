import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type House, openHouse } from './support.ts'

/** The public Node client, unchanged, against every endpoint. */

let house: House
beforeAll(async () => {
  house = await openHouse()
})
afterAll(() => house.close())

const call = (method: string, ...args: unknown[]) => house.client.call(method, ...args)
const good = (body: unknown) => ({ error: null, body })
const failed = (statusCode: number, error: number) => ({
  error: expect.objectContaining({ statusCode, error }),
  body: expect.anything(),
})

describe('the public Node client', () => {
  test('saveTemplate, getTemplates, getTemplate, getTemplateFromRevision, saveTemplateFromRevision', async () => {
    const { body } = await call('saveTemplate', 'Welcome', { subject: 'Hello', content_html: '<p>Hi</p>' })
    expect(body).toMatchObject({ name: 'Welcome', subject: 'Hello' })
    const { revision_id } = body as { revision_id: number }
    await call('saveTemplate', 'Welcome', { subject: 'Second' })
    expect(await call('getTemplates')).toMatchObject(good({ templates: [{ name: 'Welcome', subject: 'Second' }] }))
    expect(await call('getTemplate', 'Welcome')).toMatchObject(good({ subject: 'Second' }))
    expect(await call('getTemplateFromRevision', revision_id)).toMatchObject(good({ subject: 'Hello' }))
    expect(await call('saveTemplateFromRevision', 'Welcome', revision_id)).toMatchObject(good({ subject: 'Hello' }))
  })

  test('saveUserByKey, getUserByKey, getUserBySid, saveUserBySid', async () => {
    expect(await call('saveUserByKey', 'ada@example.com', 'email', { vars: { a: 1 }, lists: { Weekly: 1 } })).toEqual(
      good({ ok: true }),
    )
    const { body } = await call('getUserByKey', 'ada@example.com', 'email', { keys: 1 })
    const { sid } = (body as { keys: { sid: string } }).keys
    expect(await call('saveUserBySid', sid, { vars: { b: 2 } })).toEqual(good({ ok: true }))
    expect(await call('getUserBySid', sid)).toMatchObject(
      good({ vars: { a: 1, b: 2 }, lists: { Weekly: expect.any(String) }, optout_email: 'none' }),
    )
  })

  test('send, getSend, multiSend, cancelSend', async () => {
    const sent = await call('send', 'Welcome', 'ada@example.com', { vars: { name: 'Ada' } })
    expect(sent).toMatchObject(good({ email: 'ada@example.com', status: 'unknown' }))
    const { send_id } = sent.body as { send_id: string }
    expect(await call('getSend', send_id)).toMatchObject(good({ send_id, template: 'Welcome' }))
    expect(await call('cancelSend', send_id)).toMatchObject(failed(403, 41))
    expect(await call('multiSend', 'Welcome', ['a@example.com', 'b@example.com'], {})).toMatchObject(
      good({ sent_count: 2 }),
    )
    const later = await call('send', 'Welcome', 'ada@example.com', { schedule_time: '+1 day' })
    const scheduled = (later.body as { send_id: string }).send_id
    expect(await call('cancelSend', scheduled)).toEqual(good({ send_id: scheduled, ok: true }))
  })

  test('a site meets error 32 and brings the person back', async () => {
    await call('saveUserByKey', 'ada@example.com', 'email', { optout_email: 'all' })
    expect(await call('send', 'Welcome', 'ada@example.com')).toMatchObject(failed(403, 32))
    await call('saveUserByKey', 'ada@example.com', 'email', { optout_email: 'none' })
    expect(await call('send', 'Welcome', 'ada@example.com')).toMatchObject(good({ status: 'unknown' }))
  })

  test('getLists, deleteList', async () => {
    expect(await call('getLists')).toMatchObject(good({ lists: [{ name: 'Weekly', email_count: 1 }] }))
    expect(await call('deleteList', 'Weekly')).toEqual(good({ list: 'Weekly', ok: true }))
    expect(await call('deleteList', 'Weekly')).toMatchObject(failed(404, 15))
  })

  test('purchase', async () => {
    const items = [{ id: '1', title: 'Cup', price: 900, qty: 1, url: 'https://example.com/cup' }]
    expect(await call('purchase', 'ada@example.com', items, { send_template: 'Welcome' })).toMatchObject(
      good({ purchase: { price: 900, qty: 1 } }),
    )
    expect(await call('purchase', 'ada@example.com', [], {})).toMatchObject(failed(400, 99))
  })

  test('apiGet, apiPost, apiDelete, getLastRateLimitInfo', async () => {
    expect(await call('apiPost', 'email', { email: 'ada@example.com', optout: 'none' })).toMatchObject(
      good({ optout: 'none' }),
    )
    expect(await call('apiGet', 'settings', {})).toMatchObject(good({ timezone: 'UTC' }))
    expect(await call('apiDelete', 'user', { id: 'ada@example.com' })).toEqual(good({ ok: true }))
    expect(await call('apiGet', 'user', { id: 'ada@example.com' })).toMatchObject(failed(404, 99))
  })

  test('deleteTemplate', async () => {
    expect(await call('deleteTemplate', 'Welcome')).toEqual(good({ template: 'Welcome', ok: true }))
    expect(await call('getTemplate', 'Welcome')).toMatchObject(failed(404, 14))
  })
})
