import fc from 'fast-check'
import { expect, it } from 'vitest'
import { mayLoosen } from '../../src/consent/evidence.ts'
import { chain, type LedgerEntry } from '../../src/consent/ledger.ts'
import { isWeaker, LEVELS } from '../../src/consent/levels.ts'
import type { Act, ProfileChange, ProfileState } from '../../src/profiles/change.ts'
import { mergeStates } from '../../src/profiles/merge.ts'
import { fold } from '../../src/profiles/rule.ts'
import { NO_WISHES } from '../../src/profiles/wishes.ts'
import { DEFAULTS, type Settings } from '../../src/settings/settings.ts'

const START = Date.UTC(2026, 2, 2, 10)

function person(): ProfileState {
  return {
    shard: 1,
    id: 65,
    email: 'ada@example.com',
    keys: {},
    ...NO_WISHES,
    vars: {},
    createdAt: new Date(START),
    signupAt: null,
    loginAt: null,
    optoutAt: null,
    lists: new Map(),
    ledgerHead: null,
    salt: Buffer.alloc(8),
  }
}

const level = fc.constantFrom(...LEVELS)
const evidence = fc.constantFrom(0, 1, 2, 3, 4)
const listSource = fc.constantFrom(
  'hosted_page',
  'site_form',
  'confirm_link',
  'link_param',
  'user_api',
  'flow',
  'bulk',
  'ui',
)
const via = fc.constantFrom(
  'api',
  'hosted_page',
  'one_click',
  'mailto',
  'confirm_link',
  'flow',
  'import',
  'ui',
  'complaint',
  'bounce',
  'purchase',
  'system',
)
const act = fc.record({ via, evidence, listSource }) as fc.Arbitrary<Act>
const change: fc.Arbitrary<ProfileChange> = fc
  .record(
    {
      act,
      level: fc.record({
        to: level,
        mode: fc.constantFrom('set', 'tighten', 'loosen'),
      }),
      asOf: fc.nat(25),
      lists: fc.array(fc.tuple(fc.nat(3), fc.boolean())).map((pairs) => new Map(pairs)),
      templates: fc
        .array(fc.tuple(fc.nat(3), fc.boolean()))
        .map((pairs) => new Map(pairs.map(([id, out]) => [id, { out, name: `template ${id}` }]))),
      complaint: fc.constant(true as const),
      vars: fc.dictionary(fc.constantFrom('a', 'b'), fc.oneof(fc.constant(null), fc.integer())),
    },
    { requiredKeys: ['act'] },
  )
  .map((parts) => ({ person: { kind: 'id', value: 65 }, ...parts }) as ProfileChange)
const settings: fc.Arbitrary<Settings> = fc
  .record({
    api_optin_policy: fc.constantFrom('legacy', 'attested', 'confirm'),
    flow_optin_policy: fc.constantFrom('evidence', 'legacy'),
  })
  .map((policies) => ({ ...DEFAULTS, ...policies }) as Settings)

/** Plays a sequence of changes, a minute apart, and shows every step. */
function play(
  changes: readonly ProfileChange[],
  policies: Settings,
  look: (step: { before: ProfileState; change: ProfileChange; after: ProfileState; ledger: LedgerEntry[] }) => void,
): ProfileState {
  let state = person()
  for (const [minute, one] of changes.entries()) {
    const now = new Date(START + minute * 60_000)
    const before = { ...structuredClone({ ...state, salt: null }), salt: state.salt }
    const number = minute + 1
    const folded = fold(state, one, { now, number, settings: policies, addressHmac: () => null, listName: String })
    // The rule is pure: what it was given is as it was.
    expect(state).toEqual(before)
    look({ before, change: one, after: folded.state, ledger: folded.ledger })
    state = folded.state
  }
  return state
}

const sequence = fc.array(change, { maxLength: 25 })

it('I1, I9: a level becomes weaker only by an act that may loosen it; automatic events only tighten', () => {
  fc.assert(
    fc.property(sequence, settings, (changes, policies) => {
      play(changes, policies, ({ before, change, after }) => {
        if (!isWeaker(after.level, before.level)) return
        expect(change.level).toBeDefined()
        expect(mayLoosen(before, change.act, policies)).toBe(true)
        expect(['bounce', 'complaint', 'purchase', 'system', 'one_click', 'mailto']).not.toContain(
          change.act.evidence === 4 ? '' : change.act.via,
        )
      })
    }),
  )
})

it('I1: nothing but a level change or a complaint touches the level', () => {
  fc.assert(
    fc.property(sequence, settings, (changes, policies) => {
      const without = changes.map(({ level, complaint, ...rest }) => rest)
      expect(play(without, policies, () => {}).level).toBe('none')
    }),
  )
})

it('I4: the level and lists never write deliverability, which is not part of a profile', () => {
  expect(Object.keys(person())).not.toContain('deliverability')
})

it('I5: every change of level, list, template opt-out writes exactly one ledger row, and nothing else does', () => {
  fc.assert(
    fc.property(sequence, settings, (changes, policies) => {
      play(changes, policies, ({ before, after, ledger }) => {
        const levels = ledger.filter((entry) => entry.subject === 'level' && entry.from !== entry.to)
        // A complaint and a level in one change are two decisions.
        if (before.level !== after.level) expect(levels.length).toBeGreaterThanOrEqual(1)
        expect(levels.reduce<string>((_, entry) => entry.to!, before.level)).toBe(after.level)
        const changed = ledger.filter(({ event }) => event !== 'skipped')
        const lists = [...new Set([...before.lists.keys(), ...after.lists.keys()])]
        const moved = lists.filter((id) => before.lists.has(id) !== after.lists.has(id)).length
        expect(changed.filter((entry) => entry.subject.startsWith('list:'))).toHaveLength(moved)
        const templates = [0, 1, 2, 3]
        const switched = templates.filter((id) => before.templateOptouts.has(id) !== after.templateOptouts.has(id))
        expect(changed.filter((entry) => entry.subject.startsWith('template:'))).toHaveLength(switched.length)
      })
    }),
  )
})

it('I8: what was minted before the newest refusal cannot undo it', () => {
  fc.assert(
    fc.property(sequence, settings, (changes, policies) => {
      play(changes, policies, ({ before, change, after }) => {
        const { asOf } = change
        if (asOf === undefined) return
        if ((before.refusals.level ?? 0) > asOf) expect(isWeaker(after.level, before.level)).toBe(false)
        for (const [list, { number }] of before.listsLeft) {
          if (number > asOf) expect(after.lists.has(Number(list))).toBe(false)
        }
        for (const [template, { number }] of before.templateOptouts) {
          if (number > asOf) expect(after.templateOptouts.has(template)).toBe(true)
        }
      })
    }),
  )
})

it('refusals by people are remembered even when the level stays', () => {
  fc.assert(
    fc.property(sequence, settings, (changes, policies) => {
      play(changes, policies, ({ before, change, after }) => {
        const refuses = change.level && change.level.to !== 'none'
        if (refuses && ['hosted_page', 'one_click', 'ui', 'api'].includes(change.act.via)) {
          expect(after.refusedAt).not.toBeNull()
          expect(after.refusals.level).toBeGreaterThan(before.refusals.level ?? 0)
        }
      })
    }),
  )
})

it('setting what is already so leaves no trace', () => {
  fc.assert(
    fc.property(sequence, settings, change, (changes, policies, last) => {
      const state = play(changes, policies, () => {})
      const at = { now: new Date(START + 1e9), number: 1_000 }
      const context = { ...at, settings: policies, addressHmac: () => null, listName: String }
      const once = fold(state, { ...last, act: { ...last.act, evidence: 4 } }, context)
      const twice = fold(once.state, { ...last, act: { ...last.act, evidence: 4 } }, context)
      const superseded = twice.levelOutcome === 'superseded' || twice.ledger.some(({ event }) => event === 'skipped')
      const loop = last.complaint && last.level && last.level.mode !== 'tighten' && isWeaker(last.level.to, 'basic')
      if (!superseded && !loop) expect(twice.ledger).toEqual([])
    }),
  )
})

it('a merge is as strict as the stricter of the two, in every respect', () => {
  fc.assert(
    fc.property(sequence, sequence, settings, (left, right, policies) => {
      const [a, b] = [play(left, policies, () => {}), play(right, policies, () => {})]
      const names = new Map([0, 1, 2, 3].map((id) => [id, { name: String(id) }]))
      const merged = mergeStates(a, { ...b, id: 129 }, names)
      for (const one of [a, b]) {
        expect(isWeaker(merged.level, one.level)).toBe(false)
        for (const template of one.templateOptouts.keys()) expect(merged.templateOptouts.has(template)).toBe(true)
        for (const list of one.listsLeft.keys()) expect(merged.lists.has(Number(list))).toBe(false)
        expect(merged.decided).toBeGreaterThanOrEqual(one.decided)
        if (one.complainedAt) expect(merged.complainedAt!.getTime()).toBeLessThanOrEqual(one.complainedAt.getTime())
        if (one.refusedAt) expect(merged.refusedAt!.getTime()).toBeGreaterThanOrEqual(one.refusedAt.getTime())
      }
    }),
  )
})

it('a ledger chain covers order and content', () => {
  fc.assert(
    fc.property(sequence, settings, (changes, policies) => {
      const entries: LedgerEntry[] = []
      play(changes, policies, ({ ledger }) => entries.push(...ledger))
      const chained = chain(null, entries)
      expect(new Set(chained.map((entry) => entry.hash.toString('hex'))).size).toBe(chained.length)
      for (const [index, entry] of chained.entries()) {
        expect(entry.prevHash).toEqual(index === 0 ? null : chained[index - 1]!.hash)
      }
    }),
  )
})
