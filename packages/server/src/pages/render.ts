import type { Page } from './answer.ts'
import { sealForm } from './form-token.ts'
import type { PageParts } from './parts.ts'
import type { PageTools } from './preferences.ts'
import { type FormOffer, rewritePage } from './rewrite.ts'
import type { StoredPage } from './store.ts'
import { builtInData, ownPageData, type PreferenceView } from './view.ts'

/** Styles of an account's own page stand in its markup; scripts and other machines stay shut out. */
export const OWN_STYLES = "'unsafe-inline'"

/**
 * Renders a preference page: the account's own, or the built-in one where there is none or it fails. People must be
 * able to leave whatever the account's page does.
 */
export async function renderPreferences(
  parts: PageParts,
  tools: PageTools,
  situation: Pick<PreferenceView, 'reached' | 'visit' | 'stale' | 'saved'>,
): Promise<Page> {
  const view: PreferenceView = {
    ...situation,
    settings: await parts.settings.get(),
    from: parts.config.from,
    now: parts.clock.now(),
  }
  const status = view.stale ? 409 : 200
  const own = await ownPage(parts, tools, view)
  if (own !== null) return { status, styles: OWN_STYLES, ...own }
  const name = view.saved ? 'saved' : 'optout'
  return {
    status,
    html: tools.builtIn.render(name, builtInData(view, parts.signingKeys)),
    styles: tools.builtIn.styles,
  }
}

async function ownPage(
  parts: PageParts,
  tools: PageTools,
  view: PreferenceView,
): Promise<Pick<Page, 'html' | 'leadsTo'> | null> {
  const { reached, visit } = view
  if (visit.pageRevision === null) return null
  try {
    const page = await tools.pages.at(reached.page, visit.pageRevision)
    if (!page) return null
    // A page that says nothing about having saved would leave people wondering.
    if (view.saved && !page.template.reads.variables.includes('result')) return null
    const leadsTo = [...new Set(page.redirects.map((address) => new URL(address).origin))]
    return { html: renderOwn(parts, page, view), leadsTo }
  } catch (error) {
    parts.log.error({ err: error, page: reached.page }, 'a page cannot be shown; the built-in one is shown instead')
    return null
  }
}

function renderOwn(parts: PageParts, page: StoredPage, view: PreferenceView): string {
  const { reached, visit, now, stale } = view
  const { person } = visit
  const optoutUrl =
    reached.messageId === null || reached.profileId === null
      ? null
      : parts.links.optoutPage({ messageId: reached.messageId, profileId: reached.profileId })
  const env = { now: now.getTime() / 1000, timeZone: view.settings.timezone }
  const html = page.template.render(ownPageData(view, optoutUrl), env)
  const members = visit.lists.filter(({ name, member }) => stale?.lists.get(name) ?? member).map(({ name }) => name)
  const wished = [...(stale?.lists ?? [])].filter(([, join]) => join).map(([name]) => name)
  const outs = person?.templateOptouts.filter(({ name }) => !stale?.templates.get(name)).map(({ name }) => name) ?? []
  const prefill = {
    lists: new Set([...members, ...wished]),
    templatesOut: new Set(outs),
    level: person?.level ?? 'none',
    vars: { ...person?.vars, ...Object.fromEntries(stale?.vars ?? []) },
    leftSms: stale?.leavesSms || person?.sms.marketing === 'opt-out',
  }
  const known = new Set(visit.lists.map(({ name }) => name))
  // A name that came from the address bar may be left by it but not joined: lists are not for the visitor to choose.
  const joinable = (name: string) => known.has(name) || page.html.includes(name)
  const sign = (offer: FormOffer) =>
    sealForm(
      parts.signingKeys,
      {
        page: reached.page,
        profileId: person?.id ?? null,
        lists: new Map([...offer.lists].map((name) => [name, joinable(name)])),
        templates: offer.templates,
        vars: new Set([...offer.vars].filter((name) => page.html.includes(`vars[${name}]`))),
        asOf: person?.decided ?? 0,
        wording: page.wordingId ? { id: page.wordingId } : null,
      },
      now,
    )
  return rewritePage(html, reached.path, prefill, sign)
}
