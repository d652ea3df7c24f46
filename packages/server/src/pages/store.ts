import { compile, type Template } from '@fairlead/zephyr'
import { type Generated, sql } from 'kysely'
import { keepWording } from '../consent/ledger.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable } from '../platform/database.ts'
import { lintPage } from './lint.ts'

/** `manage`: preference pages, with forms. `other`: thank-you pages, without. */
export type PageType = 'manage' | 'other'

interface PageTable {
  id: Generated<number>
  name: string
  type: PageType
  html: string
  settings: PageSettings
  revision: number
  created_at: Date
  modified_at: Date
}

interface PageSettings {
  /** Under which the consent ledger keeps the text of this revision. */
  wordingId?: string
  /** Addresses to which a form of the page may lead after saving. */
  redirects?: string[]
}

declare module '../platform/database.ts' {
  interface Schema {
    page: PageTable
  }
}

/** A page of the account's own, compiled. */
export interface StoredPage {
  name: string
  type: PageType
  revision: number
  html: string
  wordingId: string | null
  redirects: readonly string[]
  template: Template
}

export type PageSaveOutcome = { ok: true; created: boolean; warnings: string[] } | { ok: false; problems: string[] }

export interface PageSummary {
  name: string
  type: PageType
  revision: number
  modifiedAt: Date
}

/** First segments of our own addresses, which no page may be called. */
const RESERVED = new Set(
  (
    'join manage page a u v f c b o s oc api uiapi health healthz docs metrics console openapi.json ' +
    'user send template list purchase email event job blast content'
  )
    .split(' ')
    .filter((name) => name !== ''),
)
/** The host goes into the page's policy, so it holds nothing that would have a meaning there. */
const ELSEWHERE = /^https?:\/\/[A-Za-z0-9.-]+(?::\d{1,5})?(?:[/?#]|$)/
const NAME = /^(?=.*[A-Za-z0-9])[A-Za-z0-9-]{1,100}$/

/** Functions of the platform that pages may call: none yet. Their links and forms are made by the server. */
const PAGE_FUNCTIONS: ReadonlySet<string> = new Set()

/** How hosted pages are compiled; what they are checked with must be what they are served with. */
export const compilePage = (html: string): Template =>
  compile(html, { field: 'page', context: 'page', available: PAGE_FUNCTIONS })

/**
 * Saves a page of the account's own after checking it. Every save is a new revision, whose text is kept for the
 * consent ledger: it is what people will have read when they decide.
 */
export async function savePage(
  db: Database,
  clock: Clock,
  page: { name: string; type: PageType; html: string; redirects?: readonly string[] },
): Promise<PageSaveOutcome> {
  const { name, type, html, redirects = [] } = page
  const problem = problemWithName(name, type) ?? problemWithRedirects(redirects)
  if (problem) return { ok: false, problems: [problem] }
  const checked = lintPage(html, type)
  if (checked.problems.length > 0) return { ok: false, problems: checked.problems }
  return db.transaction().execute(async (tx): Promise<PageSaveOutcome> => {
    const now = clock.now()
    const present = await tx.selectFrom('page').select('type').where('name', '=', name).forUpdate().executeTakeFirst()
    if (present && present.type !== type) {
      return { ok: false, problems: [`There is already a page named ${name}, of type ${present.type}`] }
    }
    const settings = JSON.stringify({ wordingId: await keepWording(tx, html, now), redirects })
    await sql`
      insert into page (name, type, html, settings, revision, created_at, modified_at)
      values (${name}, ${type}, ${html}, ${settings}, 1, ${now}, ${now})
      on conflict (name) do update set html = excluded.html, settings = excluded.settings,
        revision = page.revision + 1, modified_at = excluded.modified_at`.execute(tx)
    return { ok: true, created: !present, warnings: checked.warnings }
  })
}

function problemWithName(name: string, type: PageType): string | null {
  if (!NAME.test(name)) return `a page is named with letters, digits and dashes, not ${JSON.stringify(name)}`
  if (RESERVED.has(name.toLowerCase())) return `the name ${name} is reserved`
  if (name === 'optout' && type !== 'manage') return 'the page optout must be of type manage'
  if (name === 'signup-confirm' && type !== 'other') return 'the page signup-confirm must be of type other'
  return null
}

function problemWithRedirects(redirects: readonly string[]): string | null {
  const wrong = redirects.find((address) => !ELSEWHERE.test(address) || !URL.canParse(address))
  return wrong === undefined ? null : `a page leads on to addresses like https://example.com/thanks, not to ${wrong}`
}

/** All pages of the account's own, by name. */
export async function listPages(db: Queryable): Promise<PageSummary[]> {
  const rows = await db
    .selectFrom('page')
    .select(['name', 'type', 'revision', 'modified_at'])
    .orderBy(sql`name collate "C"`)
    .execute()
  return rows.map(({ name, type, revision, modified_at }) => ({ name, type, revision, modifiedAt: modified_at }))
}

/** @returns false when there is no such page */
export async function removePage(db: Queryable, name: string): Promise<boolean> {
  const [result] = await db.deleteFrom('page').where('name', '=', name).execute()
  return (result?.numDeletedRows ?? 0n) > 0n
}

/** Compiled pages, once per revision. */
export interface PageCache {
  /** The page in the revision that the database was just seen to hold. Null: it is gone, or cannot be compiled. */
  at(name: string, revision: number): Promise<StoredPage | null>
  /** The page as it is now. */
  current(name: string): Promise<StoredPage | null>
}

export function createPageCache(db: Queryable): PageCache {
  const held = new Map<string, StoredPage>()

  async function load(name: string): Promise<StoredPage | null> {
    const row = await db.selectFrom('page').selectAll().where('name', '=', name).executeTakeFirst()
    if (!row) {
      held.delete(name)
      return null
    }
    const known = held.get(name)
    if (known && known.revision === row.revision && known.html === row.html) return known
    const { type, revision, html } = row
    const { wordingId = null, redirects = [] } = row.settings
    const page = { name, type, revision, html, wordingId, redirects, template: compilePage(html) }
    held.set(name, page)
    return page
  }

  return {
    async at(name, revision) {
      const known = held.get(name)
      return known?.revision === revision ? known : load(name)
    },
    current: load,
  }
}
