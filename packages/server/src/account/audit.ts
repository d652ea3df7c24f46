import type { Generated } from 'kysely'
import type { Queryable } from '../platform/database.ts'

declare module '../platform/database.ts' {
  interface Schema {
    audit: {
      id: Generated<number>
      at: Date
      via: string
      actor: string | null
      action: string
      subject: string
      from_state: string | null
      to_state: string | null
      reason: string | null
    }
  }
}

/** Who decides about the account as a whole, and how: an API key, or the login name behind a command. */
export interface Author {
  via: 'api' | 'command'
  actor: string | null
}

/** One decision about the account that changes whom it may write to. */
export interface AuditEntry extends Author {
  at: Date
  action: 'template_kind' | 'address_block' | 'setting' | 'delivery_hold' | 'in_doubt'
  /** The template, the address or domain, the setting, what is held, the campaign. */
  subject: string
  from: string | null
  to: string | null
  reason: string | null
}

/**
 * Writes down what somebody decided for many people at once: which templates reach those who left marketing, which
 * addresses are blocked, which policies hold, what is kept back. The consent ledger has a chain for each person and no place for these.
 * Rows can never be changed or removed. Call it in the transaction of the change.
 */
export async function writeAudit(q: Queryable, entry: AuditEntry): Promise<void> {
  const { at, via, actor, action, subject, from, to, reason } = entry
  await q
    .insertInto('audit')
    .values({ at, via, actor, action, subject, from_state: from, to_state: to, reason })
    .execute()
}

/** The decisions, newest first. */
export async function listAudit(q: Queryable, limit: number): Promise<Array<AuditEntry & { id: number }>> {
  const rows = await q.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(limit).execute()
  return rows.map(({ from_state, to_state, ...row }) => ({
    ...row,
    via: row.via as AuditEntry['via'],
    action: row.action as AuditEntry['action'],
    from: from_state,
    to: to_state,
  }))
}
