import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { CLICK_LEADS_FOR, creditOf, type Lead } from '../../src/purchases/credit.ts'

const BUYER = 1
const AT = new Date('2030-03-05T12:00:00Z')
const order = { isIncomplete: false, at: AT, channel: 'online' as const }
const before = (ms: number) => new Date(AT.getTime() - ms)
const lead = (messageId: number, given: Partial<Lead> = {}): Lead => ({
  messageId,
  campaignId: messageId * 10,
  profileId: BUYER,
  at: before(60_000),
  ...given,
})

describe('a purchase is credited to', () => {
  it.each<[string, { named?: Lead; clicked?: Lead }, number | null]>([
    ['the message that the shop names', { named: lead(7), clicked: lead(8) }, 7],
    ['the last click when it names none', { clicked: lead(8) }, 8],
    ['the last click when it names somebody else’s message', { named: lead(7, { profileId: 2 }), clicked: lead(8) }, 8],
    ['nothing when there is neither', {}, null],
    ['nothing of somebody else', { named: lead(7, { profileId: 2 }), clicked: lead(8, { profileId: 2 }) }, null],
    ['no click that is too old', { clicked: lead(8, { at: before(CLICK_LEADS_FOR + 1) }) }, null],
    ['a click that is just young enough', { clicked: lead(8, { at: before(CLICK_LEADS_FOR) }) }, 8],
    ['no click that came afterwards', { clicked: lead(8, { at: before(-1) }) }, null],
    ['a message, however it is dated', { named: lead(7, { at: before(-60_000) }) }, 7],
  ])('%s', (_, { named = null, clicked = null }, messageId) => {
    expect(creditOf(order, BUYER, { named, clicked })?.messageId ?? null).toBe(messageId)
  })

  it('a triggered message that is named, and so to no campaign', () => {
    const named = lead(7, { campaignId: null })
    expect(creditOf(order, BUYER, { named, clicked: lead(8) })).toEqual({ messageId: 7, campaignId: null })
  })

  it('what is named only, at a till', () => {
    const offline = { ...order, channel: 'offline' as const }
    expect(creditOf(offline, BUYER, { named: null, clicked: lead(8) })).toBe(null)
    expect(creditOf(offline, BUYER, { named: lead(7), clicked: lead(8) })?.messageId).toBe(7)
  })
})

const anyLead = fc.option(
  fc.record({
    messageId: fc.integer({ min: 1, max: 9 }),
    campaignId: fc.option(fc.integer({ min: 1, max: 9 })),
    profileId: fc.integer({ min: 1, max: 2 }),
    at: fc.option(fc.date({ noInvalidDate: true })),
  }),
)

test('nobody’s purchase is ever credited to a message of somebody else, and no cart to any', () => {
  fc.assert(
    fc.property(anyLead, anyLead, fc.boolean(), (named, clicked, isIncomplete) => {
      const credit = creditOf({ ...order, isIncomplete }, BUYER, { named, clicked })
      if (credit === null) return
      expect(isIncomplete).toBe(false)
      const own = [named, clicked].filter((one) => one?.profileId === BUYER)
      expect(own.map((one) => one?.messageId)).toContain(credit.messageId)
    }),
  )
})
