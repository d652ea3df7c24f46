import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lintPage } from '../../src/pages/lint.ts'
import { listPages, removePage, savePage } from '../../src/pages/store.ts'
import { findProfile } from '../../src/profiles/read.ts'
import { openPages, type PageHouse } from './support.ts'

let house: PageHouse
beforeAll(async () => {
  house = await openPages()
})
afterAll(() => house.close())

const OWN = `<!DOCTYPE html>
<html lang="en"><head><title>Mail settings</title><style>.note{color:#555}</style></head>
<body>
{if profile.optout=="all"}
<h1>You are off every list</h1><p class="note">We hold {h(email)}.</p>
<form method="post"><button name="optin" value="1">Undo</button></form>
{else}
<h1>Before you cast off, {h(greeting)}</h1><p>{vars_note}{profile.vars.city}</p>
<form method="post">
<input type="checkbox" name="lists[Daily]" value="1" checked>
<select name="lists[Weekly]"><option value="1">Yes</option><option value="0">No</option></select>
<input type="radio" name="listgroup[pace]" value="Morning"><input type="radio" name="listgroup[pace]" value="Evening">
{if list}<input type="checkbox" name="lists[{h(list)}]" value="1">{/if}
<input name="vars[city]"><textarea name="vars[about]"></textarea>
<input type="checkbox" name="templates[Welcome]" value="1">
<input type="checkbox" name="optout_basic" value="1"> <input type="checkbox" name="optout_all" value="1">
<button>Save</button>
</form>
<form method="post" action="https://example.org/elsewhere"><button>Other</button></form>
{/if}
</body></html>`

const listsOf = async (...names: string[]) => {
  const ids = await house.services.lists.ensure(names)
  return new Map(names.map((name) => [ids.get(name)!, true]))
}

describe("an account's own opt-out page", () => {
  beforeAll(() => house.put('optout', OWN))

  test('takes the place of the built-in one and offers the way back to people at level all', async () => {
    const ada = await house.reader('ada')
    expect((await house.get(ada.oc)).text).toContain('Before you cast off')
    await (await house.get(ada.oc)).submit({ optout_all: '1' })
    expect(await house.level(ada.id)).toBe('all')
    house.clock.advance(1_000)
    const out = await house.get(ada.oc)
    expect(out.text).toContain('You are off every list')
    expect(out.text).toContain('ada@example.com')
    const saved = await out.submit()
    expect(await house.level(ada.id)).toBe('none')
    expect((await house.get(saved.location!)).text).toContain('Email is back on')
  })

  test('shows what is so: boxes, drop-downs, radios and fields', async () => {
    const bob = await house.reader('bob', {
      lists: await listsOf('Weekly', 'Evening'),
      vars: { city: 'Köln "am Rhein"', about: '<b>' },
    })
    const fields = (await house.get(bob.oc)).fields()
    expect(fields).toMatchObject({
      'lists[Weekly]': '1',
      'listgroup[pace]': 'Evening',
      'vars[city]': 'Köln "am Rhein"',
      'vars[about]': '<b>',
      'templates[Welcome]': '1',
    })
    expect(fields['lists[Daily]']).toBeUndefined()
  })

  test('unticked means leave, a radio group moves, and only fields on the page are stored', async () => {
    const cai = await house.reader('cai', { lists: await listsOf('Daily', 'Weekly', 'Evening', 'Hidden') })
    const page = await house.get(cai.oc)
    await page.submit({
      'lists[Daily]': null,
      'lists[Weekly]': 'No',
      'listgroup[pace]': 'Morning',
      'lists[Hidden]': '0',
      'vars[city]': 'Bergen',
      'vars[vip]': '1',
    })
    expect(await house.lists(cai.id)).toEqual(['Hidden', 'Morning'])
    expect((await findProfile(house.db, { kind: 'id', value: cai.id }))!.vars).toEqual({ city: 'Bergen', about: '' })
  })

  test('sees query parameters as escaped variables, in the address of both fashions', async () => {
    const dee = await house.reader('dee')
    const evil = encodeURIComponent('<script>alert(1)</script>')
    for (const path of [`${dee.oc}&greeting=${evil}`, dee.oc.replace('?v=2', `&greeting=${evil}`)]) {
      const page = await house.get(path)
      expect(page.status).toBe(200)
      expect(page.text).toContain('<script>alert(1)</script>')
      expect(page.html).not.toContain('<script>')
    }
    const shadowed = await house.get(`${dee.oc}&page=x&profile=y&email=z`)
    expect(shadowed.text).toContain('Before you cast off')
  })

  test('a list named by the address bar can be left, not joined', async () => {
    await listsOf('Secret')
    const eli = await house.reader('eli')
    await (await house.get(`${eli.oc}&list=Secret`)).submit({ 'lists[Secret]': '1' })
    expect(await house.lists(eli.id)).not.toContain('Secret')
    const fred = await house.reader('fred', { lists: await listsOf('Secret') })
    await (await house.get(`${fred.oc}&list=Secret`)).submit({ 'lists[Secret]': null })
    expect(await house.lists(fred.id)).not.toContain('Secret')
  })

  test('gives its token to no form that goes elsewhere', async () => {
    const gus = await house.reader('gus')
    const { html } = await house.get(gus.oc)
    expect(html.match(/name="_fl"/g)).toHaveLength(1)
    expect(html.split('example.org/elsewhere')[1]).not.toContain('_fl')
  })

  test('forbids scripts and other machines, and says so when saved', async () => {
    const hed = await house.reader('hed')
    const policy = String((await house.get(hed.oc)).headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('script-src')
    const { warnings } = lintPage(
      `${OWN}<script src="https://example.org/x.js"></script><img src="https://example.org/x.png">`,
      'manage',
    )
    expect(warnings.join()).toContain('scripts do not run')
    expect(warnings.join()).toContain('<img>')
    expect(warnings.join()).toContain('level basic')
  })

  test('that fails to render gives way to the built-in one', async () => {
    const ivy = await house.reader('ivy')
    await house.put('optout', OWN.replace('<h1>Before', '{assert(false, "broken")}<h1>Before'))
    const page = await house.get(ivy.oc)
    expect(page.status).toBe(200)
    expect(page.text).toContain('Choose what we send you')
    await page.submit({ optout: 'basic' })
    expect(await house.level(ivy.id)).toBe('basic')
    await house.put('optout', OWN)
    expect((await house.get(ivy.oc)).text).toContain('Before you cast off')
  })

  test('keeps its text for the ledger under each revision', async () => {
    const jo = await house.reader('jo')
    await house.change(jo.id, { level: { to: 'all', mode: 'set' } })
    house.clock.advance(1_000)
    await (await house.get(jo.oc)).submit()
    const { rows } = await house.db
      .selectFrom('consent_ledger')
      .select('context')
      .where('profile_id', '=', jo.id)
      .where('event', '=', 'opted_in')
      .execute()
      .then((found) => ({ rows: found }))
    const id = String(rows[0]?.context.wording_id)
    const wording = await house.db.selectFrom('wording').select('content').where('id', '=', id).executeTakeFirst()
    expect(wording?.content).toBe(OWN)
  })
})

describe('saving a page', () => {
  const save = (name: string, html: string, type: 'manage' | 'other' = 'manage') =>
    savePage(house.db, house.clock, { name, type, html })

  test('refuses one that does not let people leave', async () => {
    const cases: Array<[string, string]> = [
      ['<form method="post"><button>Save</button></form>', 'people must be able to leave'],
      ['<form><input name="optout_all"><button>x</button></form>', 'method="post"'],
      ['<form method="post"><input name="optout_all"></form>', 'button to submit'],
      ['<form method="post">{if profile.optout}', 'line 1'],
      ['<a href="{signup_confirm()}">Back</a>', "line 1, column 11: 'signup_confirm' is not available here"],
      ['{uper(email)}', "did you mean 'upper'?"],
    ]
    for (const [html, problem] of cases) {
      const outcome = await save('mine', html)
      expect(outcome.ok ? '' : outcome.problems.join(), html).toContain(problem)
    }
    expect(
      await save('mine', '<form method="post"><button name="optout" value="basic">Stop</button></form>'),
    ).toMatchObject({ ok: true })
  })

  test('refuses names that are ours, and a type that does not fit', async () => {
    for (const name of ['oc', 'user', 'healthz', 'a b', '--', 'ä', ''])
      expect(await save(name, OWN)).toMatchObject({ ok: false })
    expect(await save('optout', '<p>x', 'other')).toMatchObject({ ok: false })
    expect(await save('thanks', '<form><input></form>', 'other')).toMatchObject({ ok: false })
    expect(await save('thanks', '<p>Thanks', 'other')).toMatchObject({ ok: true, created: true })
    const clash = await save('thanks', OWN)
    expect(clash.ok ? '' : clash.problems[0]).toMatch(/^There is already a page named/)
  })

  test('serves pages without forms, and short addresses', async () => {
    await save('hello', '<p>Hello {h(who)}, {who}</p>', 'other')
    const page = await house.get('/page/hello?who=%3Cb%3E')
    expect(page.html).toContain('Hello &lt;b&gt;, &lt;b&gt;')
    expect((await house.post('/page/hello', {})).status).toBe(405)
    expect((await house.get('/hello?who=me')).location).toBe('/page/hello?who=me')
    expect((await house.get('/optout')).location).toBe('/manage/optout')
    expect((await house.get('/no-such-page')).status).toBe(404)
    expect((await house.get('/page/no-such-page')).status).toBe(404)
    expect((await house.get('/page/optout')).status).toBe(404)
  })

  test('pages are listed and removed', async () => {
    expect((await listPages(house.db)).map(({ name }) => name)).toEqual(['hello', 'mine', 'optout', 'thanks'])
    expect(await removePage(house.db, 'optout')).toBe(true)
    expect(await removePage(house.db, 'optout')).toBe(false)
    const kay = await house.reader('kay')
    expect((await house.get(kay.oc)).text).toContain('Choose what we send you')
  })
})
