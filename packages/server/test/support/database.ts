import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { type Database, openDatabase } from '../../src/platform/database.ts'
import type { EmbeddedConnection } from '../../src/platform/postgres/index.ts'

/** A database of a test file's own. */
export interface FreshDatabase {
  db: Database
  connection: EmbeddedConnection
  /** Closes the handle and removes the database. */
  drop(): Promise<void>
}

/**
 * Makes a migrated, empty database by copying the run's template.
 *
 * @param size most connections that the handle holds
 */
export async function freshDatabase(size = 10): Promise<FreshDatabase> {
  const template = inject('postgres')
  const name = `test_${randomBytes(6).toString('hex')}`
  await administer(template, `create database ${name} template ${template.database}`)
  const connection = { ...template, database: name }
  const db = openDatabase(connection, size)
  return {
    db,
    connection,
    async drop() {
      await db.destroy()
      await administer(template, `drop database ${name} with (force)`)
    },
  }
}

async function administer(server: EmbeddedConnection, statement: string): Promise<void> {
  const client = new pg.Client({ ...server, database: 'postgres' })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
