import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findProfile } from '../../src/profiles/read.ts'
import type { Reader, Seen } from '../pages/support.ts'
import { type ConsentHouse, openConsent } from './house.ts'
import { ConsentModel, type Somebody } from './model.ts'

/*
 * Random sequences through every door, beside a model that knows nothing of tables: a person's newest refusal stands,
 * against everything that was decided before it or without them, and the mailbox's refusal stands with the address.
 */

let house: ConsentHouse
let listId: number
beforeAll(async () => {
  house = await openConsent()
  await house.services.lists.save({ name: 'Daily' }, { isPrimary: true })
  listId = (await house.services.lists.find(['Daily'])).get('Daily')!
  await house.liftByJoining('Daily')
})
afterAll(() => house.close())

const MAILBOXES = 3
const mailbox = fc.nat(MAILBOXES - 1)
const pick = fc.nat(5)

type Step =
  | { door: 'api'; who: number; wish: 'all' | 'none' | 'join' | 'leave' | 'join and all' }
  | { door: 'bulk' | 'mail' | 'erase' | 'make confirmation'; who: number }
  | { door: 'one click' | 'open form' | 'press confirmation'; which: number }
  | { door: 'save form'; which: number; mail: 'none' | 'all'; list: boolean; template: boolean }
  | { door: 'move' | 'merge'; who: number; other: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    door: fc.constant('api' as const),
    who: mailbox,
    wish: fc.constantFrom('all', 'none', 'join', 'leave', 'join and all'),
  }),
  fc.record({ door: fc.constantFrom('bulk', 'mail', 'mail', 'erase', 'make confirmation'), who: mailbox }),
  fc.record({ door: fc.constantFrom('one click', 'open form', 'press confirmation'), which: pick }),
  fc.record({
    door: fc.constant('save form' as const),
    which: pick,
    mail: fc.constantFrom('none', 'all'),
    list: fc.boolean(),
    template: fc.boolean(),
  }),
  fc.record({ door: fc.constantFrom('move', 'merge'), who: mailbox, other: mailbox }),
)

interface Link {
  person: Somebody
  address: string
  reader: Reader
}

let plays = 0

/** Plays one sequence on mailboxes of its own, in the house and in the model. */
function createPlay() {
  const play = plays++
  const model = new ConsentModel()
  const links: Link[] = []
  const forms: Array<{ link: Link; seen: Seen; decided: number; isFull: boolean }> = []
  const confirmations: Array<{ person: Somebody; address: string; path: string; decided: number; isUsed: boolean }> = []
  const addressOf = (who: number) => `m${who}-${play}@example.com`
  const idOf = async (address: string) => (await findProfile(house.db, { kind: 'email', value: address }))?.id ?? null
  const chosen = <T>(all: readonly T[], which: number): T | undefined => all[which % Math.max(1, all.length)]

  /** The flow lifts what was refused before the join. */
  function lift(person: Somebody, joined: ReturnType<ConsentModel['join']>, decided: number): void {
    if (joined === 'joined') model.permit(person, 'mail', decided)
  }

  async function api(address: string, wish: Extract<Step, { door: 'api' }>['wish']): Promise<void> {
    const person = model.known(address)
    const decided = model.now()
    const call = {
      all: { optout_email: 'all' },
      none: { optout_email: 'none' },
      join: { lists: { Daily: 1 } },
      leave: { lists: { Daily: 0 } },
      'join and all': { lists: { Daily: 1 }, optout_email: 'all' },
    }[wish]
    await house.api('POST', 'user', { id: address, ...call })
    if (wish === 'all' || wish === 'join and all') model.refuse(person, 'mail')
    if (wish === 'none') model.permit(person, 'mail', decided)
    if (wish === 'leave') model.leave(person)
    if (wish === 'join' || wish === 'join and all') lift(person, model.join(person, decided), decided)
  }

  async function mail(address: string): Promise<void> {
    const person = model.known(address)
    await house.api('POST', 'user', { id: address, vars: {} })
    const sent = await house.api('POST', 'send', { template: 'Welcome', email: address })
    expect('error' in sent, `${address} refused`).toBe(person.refused.has('mail') || person.refused.has('template'))
    if ('error' in sent) return
    const messageId = house.services.sends.messageIdOf(String(sent.send_id))!
    const link = { messageId, profileId: (await idOf(address))! }
    const path = (url: string) => url.slice(url.indexOf('/', 'https://'.length))
    const reader = {
      id: link.profileId,
      email: address,
      messageId,
      oc: path(house.services.links.optoutPage(link)),
      u: path(house.services.links.oneClick({ ...link, address })),
    }
    links.push({ person, address, reader })
  }

  async function saveForm({ which, mail, list, template }: Extract<Step, { door: 'save form' }>): Promise<void> {
    const form = chosen(forms, which)
    if (!form) return
    const { link, seen, decided, isFull } = form
    if (!isFull) {
      await seen.submit({ optin: '1' })
      const person = model.present(link.person)
      if (person?.address === link.address) model.permit(person, 'mail', decided)
      return
    }
    const ticks = { 'lists[Daily]': list ? '1' : null, 'templates[Welcome]': template ? '1' : null }
    await seen.submit({ optout: mail, ...ticks })
    const { person: written, address } = link
    if (mail === 'all') model.refuseByLink(written, address, (whom) => model.refuse(whom, 'mail'))
    if (!list) model.refuseByLink(written, address, (whom) => model.leave(whom))
    if (!template) model.refuseByLink(written, address, (whom) => model.refuse(whom, 'template'))
    const person = model.present(written)
    if (person?.address !== address) return
    if (mail === 'none') model.permit(person, 'mail', decided)
    if (template) model.permit(person, 'template', decided)
    if (list) lift(person, model.join(person, decided), decided)
  }

  async function pressConfirmation(which: number): Promise<void> {
    const confirmation = chosen(confirmations, which)
    if (!confirmation) return
    await house.post(confirmation.path, { confirm: '1' })
    const { address, decided, isUsed } = confirmation
    const person = model.present(confirmation.person)
    if (isUsed || person?.address !== address) return
    if ((person.refused.get('mail') ?? 0) > decided || (person.refused.get('list') ?? 0) > decided) return
    confirmation.isUsed = true
    model.permit(person, 'mail', decided)
    model.join(person, decided)
  }

  async function take(one: Step): Promise<void> {
    switch (one.door) {
      case 'api':
        return api(addressOf(one.who), one.wish)
      case 'bulk': {
        const person = model.known(addressOf(one.who))
        await house.api('POST', 'list', { list: 'Daily', emails: addressOf(one.who) })
        if (!person.refused.has('list')) person.isMember = true
        return
      }
      case 'mail':
        return mail(addressOf(one.who))
      case 'erase': {
        const person = model.at(addressOf(one.who))
        if (!person) return
        await house.api('DELETE', 'user', { id: addressOf(one.who) })
        return model.erase(person)
      }
      case 'make confirmation': {
        const [address, person] = [addressOf(one.who), model.at(addressOf(one.who))]
        const id = await idOf(address)
        if (!person || id === null) return
        const path = await house.confirmPath({ id, email: address, messageId: null }, [listId])
        confirmations.push({ person, address, path, decided: model.now(), isUsed: false })
        return
      }
      case 'press confirmation':
        return pressConfirmation(one.which)
      case 'one click': {
        const link = chosen(links, one.which)
        if (!link) return
        expect((await house.post(link.reader.u, {})).text).toContain('You are unsubscribed.')
        return model.refuseByLink(link.person, link.address, (whom) => model.refuse(whom, 'mail'))
      }
      case 'open form': {
        const link = chosen(links, one.which)
        if (!link) return
        const seen = await house.get(link.reader.oc)
        if (!seen.html.includes('name="_fl"')) return
        const isFull = seen.html.includes('name="optout" value="none"')
        forms.push({ link, seen, decided: model.now(), isFull })
        return
      }
      case 'save form':
        return saveForm(one)
      case 'move': {
        const [from, to] = [addressOf(one.who), addressOf(one.other)]
        const person = model.at(from)
        if (!person || model.at(to)) return
        await house.api('POST', 'email', { email: to, change_email: from })
        return model.take(person, to)
      }
      case 'merge': {
        const [kept, other] = [model.at(addressOf(one.who)), model.at(addressOf(one.other))]
        if (!kept || !other || kept === other) return
        await house.api('POST', 'user', { id: kept.address!, keys: { email: other.address! }, keysconflict: 'merge' })
        return model.merge(kept, other)
      }
    }
  }

  /** Everybody in the house is as the model has them. */
  async function compare(after: string): Promise<void> {
    for (let who = 0; who < MAILBOXES; who++) {
      const person = model.at(addressOf(who))
      const profile = await findProfile(house.db, { kind: 'email', value: addressOf(who) })
      const ours = profile && {
        mail: profile.level !== 'none',
        member: profile.lists.has(listId),
        template: profile.templateOptouts.size > 0,
      }
      const theirs = person && {
        mail: person.refused.has('mail'),
        member: person.isMember,
        template: person.refused.has('template'),
      }
      expect(ours, `mailbox ${who} after ${after}`).toEqual(theirs)
    }
  }

  return {
    async run(steps: readonly Step[]): Promise<void> {
      for (const [index, one] of steps.entries()) {
        await take(one)
        await house.react()
        await compare(`step ${index}: ${JSON.stringify(one)}`)
      }
    },
    /** Addresses that nobody has come back with all that was refused for them, and no opt-out is for ever. */
    async bringBack(): Promise<void> {
      for (let who = 0; who < MAILBOXES; who++) await api(addressOf(who), 'leave')
      await house.react()
      await compare('coming back')
      for (let who = 0; who < MAILBOXES; who++) await api(addressOf(who), 'none')
      await compare('the way back')
    },
  }
}

test('the newest refusal stands, through every door', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const play = createPlay()
      await play.run(steps)
      await play.bringBack()
    }),
    { numRuns: 20, endOnFailure: false },
  )
})
