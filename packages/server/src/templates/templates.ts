import type { Message, Warning } from '@fairlead/zephyr'
import { type Generated, sql } from 'kysely'
import { type Author, writeAudit } from '../account/audit.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database, Queryable, Tx } from '../platform/database.ts'
import type { JsonObject } from '../platform/json.ts'
import { compileFields, OPTIN_CONFIRM, problemWith, warningsAbout } from './compile.ts'
import {
  EMPTY_FIELDS,
  sampleOf,
  type TemplateChange,
  type TemplateFields,
  withChange,
  withSampleChange,
} from './fields.ts'
import { createRecent } from './recent.ts'

declare module '../platform/database.ts' {
  interface Schema {
    template: {
      id: Generated<number>
      name: string
      /** What subscribers see, of the current revision. Who left a template left whatever has this name. */
      public_name: string
      /** The current revision. */
      revision_id: number
      created_at: Date
      modified_at: Date
      deleted_at: Date | null
    }
    /** The content of a template, or of a campaign. */
    template_revision: {
      id: Generated<number>
      template_id: number | null
      campaign: CampaignLabel | null
      fields: TemplateFields
      created_at: Date
    }
  }
}

/** What a campaign's content knows of its campaign. */
export interface CampaignLabel {
  id: number
  name: string
  /** Name of the list it goes to. */
  list: string
  /** Names of the lists whose members are left out, with commas between. */
  suppressList: string
  /** Replacement vars that hold for all recipients. */
  vars: JsonObject
}

/** A template in one of its revisions, or the frozen content of a campaign, ready to be sent. */
export interface LoadedTemplate {
  /** 0 for the content of a campaign, which is no template. */
  id: number
  name: string
  /** What subscribers see. */
  publicName: string
  revisionId: number
  modifiedAt: Date
  fields: TemplateFields
  isBasic: boolean
  isDisabled: boolean
  /** Named exactly `Opt-in Confirm` and holding a confirmation link: may reach people who opted out. */
  isOptinConfirm: boolean
  /** Null for templates. */
  campaign: CampaignLabel | null
  /** Compiled at first use, once per revision. @throws CompileError if an older revision no longer compiles */
  readonly message: Message
}

export type TemplateSaveOutcome =
  /** `warnings`: what its author should look at, of what was saved. */
  | { ok: true; template: LoadedTemplate; created: boolean; warnings: Warning[] }
  | { ok: false; reason: 'unknown_revision' | 'invalid'; problem: string }

export type TemplateRemoveOutcome = { ok: true } | { ok: false; reason: 'unknown' | 'in_use' }

export interface Templates {
  byName(name: string): Promise<LoadedTemplate | null>
  /** By name; those that do not exist are missing. */
  byNames(names: readonly string[]): Promise<Map<string, LoadedTemplate>>
  byId(id: number): Promise<LoadedTemplate | null>
  /** By id of a revision, of deleted templates and campaigns too: what was accepted is sent as it was accepted. */
  byRevisions(revisionIds: readonly number[]): Promise<Map<number, LoadedTemplate>>
  /** By id of the template, in the current revision, of deleted templates too. */
  byIds(ids: readonly number[]): Promise<Map<number, LoadedTemplate>>
  /** Sorted by name, upper case before lower case. */
  all(): Promise<LoadedTemplate[]>
  /** Newest first. */
  revisionIds(templateId: number): Promise<number[]>
  /** Creates a template or changes the given fields; every save makes a revision. What does not compile is refused. */
  save(name: string, change: TemplateChange, how?: TemplateSaving): Promise<TemplateSaveOutcome>
  remove(name: string): Promise<TemplateRemoveOutcome>
}

export interface TemplateSaving {
  /** Begin from this revision of the same template instead of from the current one. */
  restore?: number
  /** The variant whose content changes, in place of the template's own. */
  sample?: string
  /** Who answers for it when the template becomes a transactional one, or ceases to be. */
  author?: Author
}

/** Revisions kept in memory, compiled. */
const KEPT = 500

interface Row {
  id: number
  name: string
  revision_id: number
  modified_at: Date
  campaign?: CampaignLabel | null
}

interface Revision {
  fields: TemplateFields
  compiled: Message | null
}

/**
 * @param parts.hostFunctions functions of the platform that templates may call
 * @param parts.isInUse whether something scheduled needs the template: then it cannot be removed
 */
export function createTemplates(parts: {
  db: Database
  clock: Clock
  hostFunctions: ReadonlySet<string>
  isInUse: (q: Queryable, templateId: number) => Promise<boolean>
}): Templates {
  const { db, clock, hostFunctions, isInUse } = parts
  // A revision never changes, so what was made of it stays good. Names and current revisions are read every time.
  const revisions = createRecent<number, Revision>(KEPT)

  async function load(q: Queryable, rows: readonly Row[]): Promise<LoadedTemplate[]> {
    const found = new Map<number, Revision>()
    for (const { revision_id } of rows) {
      const revision = revisions.get(revision_id)
      if (revision) found.set(revision_id, revision)
    }
    const missing = rows.map((row) => row.revision_id).filter((id) => !found.has(id))
    if (missing.length > 0) {
      const { rows: read } = await sql<{ id: number; fields: Partial<TemplateFields> }>`
        select id, fields from template_revision where id = any(${missing}::int[])`.execute(q)
      for (const { id, fields } of read) {
        const revision = { fields: { ...EMPTY_FIELDS, ...fields }, compiled: null }
        revisions.set(id, revision)
        found.set(id, revision)
      }
    }
    return rows.flatMap((row) => {
      const revision = found.get(row.revision_id)
      return revision ? [loaded(row, revision)] : []
    })
  }

  function loaded(row: Row, revision: Revision): LoadedTemplate {
    const { fields } = revision
    const { campaign = null } = row
    const template: LoadedTemplate = {
      id: row.id,
      name: row.name,
      publicName: fields.public_name || row.name,
      revisionId: row.revision_id,
      modifiedAt: row.modified_at,
      fields,
      isBasic: fields.is_basic,
      isDisabled: fields.is_disabled,
      get isOptinConfirm() {
        return campaign === null && row.name === OPTIN_CONFIRM && template.message.reads.signupConfirm
      },
      campaign,
      get message() {
        revision.compiled ??= compileFields(fields, hostFunctions)
        return revision.compiled
      },
    }
    return template
  }

  const byNames = async (names: readonly string[]) => {
    const { rows } = await sql<Row>`
      select id, name, revision_id, modified_at from template
      where name = any(${names}::text[]) and deleted_at is null`.execute(db)
    return new Map((await load(db, rows)).map((template) => [template.name, template]))
  }
  const byIds = async (ids: readonly number[]) => {
    const { rows } = await sql<Row>`
      select id, name, revision_id, modified_at from template where id = any(${ids}::int[])`.execute(db)
    return new Map((await load(db, rows)).map((template) => [template.id, template]))
  }

  return {
    byNames,
    byIds,
    byName: async (name) => (await byNames([name])).get(name) ?? null,

    async byId(id) {
      const { rows } = await sql<Row>`
        select id, name, revision_id, modified_at from template
        where id = ${id} and deleted_at is null`.execute(db)
      return (await load(db, rows))[0] ?? null
    },

    async byRevisions(revisionIds) {
      const { rows } = await sql<Row>`
        select coalesce(t.id, 0) as id, coalesce(t.name, r.campaign ->> 'name') as name, r.id as revision_id,
          r.created_at as modified_at, r.campaign
        from template_revision r left join template t on t.id = r.template_id
        where r.id = any(${revisionIds}::int[]) and (t.id is not null or r.campaign is not null)`.execute(db)
      return new Map((await load(db, rows)).map((template) => [template.revisionId, template]))
    },

    async all() {
      const { rows } = await sql<Row>`
        select id, name, revision_id, modified_at from template
        where deleted_at is null order by name collate "C"`.execute(db)
      return load(db, rows)
    },

    async revisionIds(templateId) {
      const { rows } = await sql<{ id: number }>`
        select id from template_revision where template_id = ${templateId} order by id desc`.execute(db)
      return rows.map((row) => row.id)
    },

    save(name, change, { restore, sample, author = UNNAMED } = {}) {
      return db.transaction().execute(async (tx): Promise<TemplateSaveOutcome> => {
        const now = clock.now()
        const { template, created } = await lockOrCreate(tx, name, now)
        const refuse = async (
          reason: 'unknown_revision' | 'invalid',
          problem: string,
        ): Promise<TemplateSaveOutcome> => {
          if (created) await sql`delete from template where id = ${template.id}`.execute(tx)
          return { ok: false, reason, problem }
        }
        const current = await readFields(tx, template.id, template.revision_id)
        const before = restore === undefined ? current : await readFields(tx, template.id, restore)
        if (!before && restore !== undefined) {
          return refuse('unknown_revision', `Template ${name} has no revision ${restore}`)
        }
        const fields =
          sample === undefined
            ? withChange(before ?? EMPTY_FIELDS, change)
            : withSampleChange(before ?? EMPTY_FIELDS, change, sample)
        const problem = problemWith(fields, hostFunctions) ?? problemWithSamples(fields, hostFunctions)
        if (problem !== null) return refuse('invalid', problem)
        const kinds = { from: kindOf(current ?? EMPTY_FIELDS), to: kindOf(fields) }
        if (kinds.from !== kinds.to) {
          await writeAudit(tx, { ...author, at: now, action: 'template_kind', subject: name, ...kinds, reason: null })
        }
        const { rows } = await sql<Row>`
          with revision as (
            insert into template_revision (template_id, fields, created_at)
            values (${template.id}, ${JSON.stringify(fields)}, ${now}) returning id)
          update template set revision_id = revision.id, public_name = ${fields.public_name || name},
            modified_at = ${now} from revision
          where template.id = ${template.id}
          returning template.id, template.name, template.revision_id, template.modified_at`.execute(tx)
        const saved = (sample === undefined ? null : sampleOf(fields, sample)) ?? fields
        const warnings = warningsAbout(name, saved, hostFunctions)
        return { ok: true, template: loaded(rows[0]!, { fields, compiled: null }), created, warnings }
      })
    },

    remove(name) {
      return db.transaction().execute(async (tx): Promise<TemplateRemoveOutcome> => {
        const { rows } = await sql<{ id: number }>`
          select id from template where name = ${name} and deleted_at is null for update`.execute(tx)
        const id = rows[0]?.id
        if (id === undefined) return { ok: false, reason: 'unknown' }
        if (await isInUse(tx, id)) return { ok: false, reason: 'in_use' }
        await sql`update template set deleted_at = ${clock.now()} where id = ${id}`.execute(tx)
        return { ok: true }
      })
    },
  }
}

const UNNAMED: Author = { via: 'command', actor: null }
/** Variants of one template. */
const MOST_SAMPLES = 20

/** Whether a template reaches people who opted out of marketing is a decision somebody must answer for. */
const kindOf = ({ is_basic }: TemplateFields) => (is_basic ? 'transactional' : 'ordinary')

function problemWithSamples(fields: TemplateFields, available: ReadonlySet<string>): string | null {
  const names = Object.keys(fields.samples)
  if (names.length > MOST_SAMPLES) return `a template has at most ${MOST_SAMPLES} samples`
  for (const name of names) {
    const problem = problemWith(sampleOf(fields, name) ?? fields, available)
    if (problem !== null) return `sample ${name}: ${problem}`
  }
  return null
}

/** Holds the template of that name until the transaction ends, so that two partial saves do not lose each other. */
async function lockOrCreate(tx: Tx, name: string, now: Date): Promise<{ template: Row; created: boolean }> {
  const { rows: made } = await sql<Row>`
    insert into template (name, public_name, revision_id, created_at, modified_at)
    values (${name}, ${name}, 0, ${now}, ${now})
    on conflict (name) where deleted_at is null do nothing
    returning id, name, revision_id, modified_at`.execute(tx)
  if (made[0]) return { template: made[0], created: true }
  const { rows } = await sql<Row>`
    select id, name, revision_id, modified_at from template
    where name = ${name} and deleted_at is null for update`.execute(tx)
  // Removed in between: its name is free again.
  return rows[0] ? { template: rows[0], created: false } : lockOrCreate(tx, name, now)
}

async function readFields(tx: Tx, templateId: number, revisionId: number): Promise<TemplateFields | null> {
  const { rows } = await sql<{ fields: Partial<TemplateFields> }>`
    select fields from template_revision where id = ${revisionId} and template_id = ${templateId}`.execute(tx)
  return rows[0] ? { ...EMPTY_FIELDS, ...rows[0].fields } : null
}
