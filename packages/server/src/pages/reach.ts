import { listKeys } from '../account/keys.ts'
import { checkManageHash } from '../links/manage-hash.ts'
import { parseAddress } from '../profiles/address.ts'
import { findIds } from '../profiles/read.ts'
import type { PageParts } from './parts.ts'

/** A preference page that somebody has reached by a link we can trust, and for whom. */
export interface Reached {
  page: string
  /** Where its forms post to: path and query, without our own parameters. */
  path: string
  /** For the record: no hash, no address. */
  place: string
  /** Null: a manage link for an address that nobody has yet. */
  profileId: number | null
  messageId: number | null
  /** The address inside a manage link. */
  email: string | null
  /** Query parameters of the visitor's own. */
  query: Record<string, string>
  /** Token of a save that led here. */
  saved: string | null
}

/** Why a link leads nowhere. */
export type Unreached = { problem: 'bad' | 'expired' | 'unknown_page' }

/** Name of the page behind the link of a message. */
export const OPTOUT = 'optout'

/** Path prefix under which the account's pages lie, as browsers see it. */
export const basePath = (publicUrl: string): string => publicUrl.replace(/^[a-z]+:\/\/[^/]+/, '')

/**
 * `/oc/{message}/{hash}`, where old integrations append `&key=value` without a question mark.
 *
 * @param rest what stands behind the message, undecoded parameters included
 */
export async function reachByMessage(
  parts: PageParts,
  message: string,
  rest: string,
  search: URLSearchParams,
): Promise<Reached | Unreached> {
  const mark = rest.indexOf('&')
  const hash = mark === -1 ? rest : rest.slice(0, mark)
  await parts.links.learnKeys(hash)
  const opened = parts.links.openOptoutPage(message, hash)
  if (!opened) return { problem: 'bad' }
  const appended = mark === -1 ? [] : [...new URLSearchParams(rest.slice(mark + 1))]
  const query = [...appended, ...search]
  return reached(opened, `${basePath(parts.config.publicUrl)}/oc/${message}/${hash}?v=2`, query)
}

/** `/u/{token}` opened by a person: the opt-out page of the same message, whose forms post to its own address. */
export async function reachByToken(
  parts: PageParts,
  token: string,
  search: URLSearchParams,
): Promise<Reached | Unreached> {
  await parts.links.learnKeys(token)
  const opened = parts.links.openOneClick(token)
  if (!opened) return { problem: 'bad' }
  const url = parts.links.optoutPage(opened)
  return reached(opened, basePath(url), [...search])
}

/** @param page path and query of the opt-out page, without parameters of the visitor's own */
function reached(
  link: { messageId: number; profileId: number },
  page: string,
  query: ReadonlyArray<[string, string]>,
): Reached {
  const own = query.filter(([name]) => name !== 'v' && name !== 'saved')
  return {
    page: OPTOUT,
    path: own.length === 0 ? page : `${page}&${new URLSearchParams(own)}`,
    place: '/oc',
    profileId: link.profileId,
    messageId: link.messageId,
    email: null,
    query: Object.fromEntries(own),
    saved: query.findLast(([name]) => name === 'saved')?.[1] ?? null,
  }
}

/** `/manage/{page}?email=…&hash=…`, signed by the customer's own programs. */
export async function reachByHash(
  parts: PageParts,
  page: string,
  search: URLSearchParams,
): Promise<Reached | Unreached> {
  const given = search.get('email') ?? ''
  const hash = search.get('hash') ?? ''
  const keys = await listKeys(parts.db)
  const { legacy_manage_hash: legacy } = await parts.settings.get()
  const secrets = keys.map(({ secret }) => secret)
  const verdict = checkManageHash({ page, email: given, hash }, secrets, { now: parts.clock.now(), legacy })
  if (verdict !== 'good') return { problem: verdict }
  const email = parseAddress(given)?.display
  if (!email) return { problem: 'bad' }
  const [profileId] = await findIds(parts.db, [{ kind: 'email', value: email }])
  const own = [...search].filter(([name]) => name !== 'saved')
  return {
    page,
    path: `${basePath(parts.config.publicUrl)}/manage/${page}?${new URLSearchParams(own)}`,
    place: `/manage/${page}`,
    profileId: profileId ?? null,
    messageId: null,
    email,
    query: Object.fromEntries(own.filter(([name]) => name !== 'email' && name !== 'hash')),
    saved: search.get('saved'),
  }
}
