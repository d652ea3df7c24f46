import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decide, type MessageKind, type Recipient } from '../../src/consent/decide.ts'
import { LEVELS } from '../../src/consent/levels.ts'

const KINDS: MessageKind[] = ['campaign', 'triggered', 'basic', 'receipt', 'optin']
const WELL: Recipient = {
  addressIsValid: true,
  level: 'none',
  deliverability: 'ok',
  block: null,
  isOutOfTemplate: false,
}

/** 0: goes out; a number: the API's refusal. Columns: campaign, triggered, transactional, receipt, opt-in confirmation. */
const TABLE: Array<[string, Partial<Recipient>, number[]]> = [
  ['none', {}, [0, 0, 0, 0, 0]],
  ['blast', { level: 'blast' }, [37, 0, 0, 0, 0]],
  ['basic', { level: 'basic' }, [37, 37, 0, 0, 0]],
  ['all', { level: 'all' }, [32, 32, 32, 0, 0]],
  ['out of this very template', { isOutOfTemplate: true }, [0, 33, 33, 33, 33]],
  ['out of the template, at basic', { isOutOfTemplate: true, level: 'basic' }, [37, 33, 33, 33, 33]],
  ['out of the template, at all', { isOutOfTemplate: true, level: 'all' }, [32, 33, 33, 33, 33]],
  ['hard bounced', { deliverability: 'hardbounce' }, [35, 35, 35, 35, 35]],
  ['hard bounced, at all', { deliverability: 'hardbounce', level: 'all' }, [35, 35, 35, 35, 35]],
  ['soft bounced', { deliverability: 'softbounce' }, [0, 0, 0, 0, 0]],
  ['unknown to mail', { deliverability: 'unknown' }, [0, 0, 0, 0, 0]],
  ['on the block list', { block: 'blacklist' }, [31, 31, 31, 31, 31]],
  ['never to be mailed', { block: 'never' }, [34, 34, 34, 34, 34]],
  ['never to be mailed and bounced', { block: 'never', deliverability: 'hardbounce' }, [34, 34, 34, 34, 34]],
  ['no address', { addressIsValid: false }, [11, 11, 11, 11, 11]],
  ['no address and blocked', { addressIsValid: false, block: 'blacklist' }, [11, 11, 11, 11, 11]],
]

describe('the decision table', () => {
  for (const [state, differs, codes] of TABLE) {
    for (const [index, kind] of KINDS.entries()) {
      it(`${state} × ${kind} → ${codes[index] || 'sent'}`, () => {
        const decision = decide({ ...WELL, ...differs }, kind)
        expect(decision.allowed ? 0 : decision.code).toBe(codes[index])
      })
    }
  }
})

it('a stricter level never lets more through', () => {
  const recipient = fc.record({
    addressIsValid: fc.boolean(),
    deliverability: fc.constantFrom('unknown', 'ok', 'softbounce', 'hardbounce', 'invalid'),
    block: fc.constantFrom(null, 'blacklist', 'never'),
    isOutOfTemplate: fc.boolean(),
  })
  fc.assert(
    fc.property(recipient, fc.constantFrom(...KINDS), fc.nat(2), (rest, kind, rank) => {
      const milder = decide({ ...rest, level: LEVELS[rank]! } as Recipient, kind)
      const harder = decide({ ...rest, level: LEVELS[rank + 1]! } as Recipient, kind)
      expect(!milder.allowed && harder.allowed).toBe(false)
    }),
  )
})
