import type { AddressInfo } from 'node:net'
import { type Generated, sql } from 'kysely'
import PostalMime from 'postal-mime'
import { SMTPServer } from 'smtp-server'
import type { Relay } from '../config.ts'
import type { Clock } from '../platform/clock.ts'
import { coalesce } from '../platform/coalesce.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'

declare module '../platform/database.ts' {
  interface Schema {
    caught_mail: {
      id: Generated<number>
      received_at: Date
      mail_from: string
      rcpt_to: string[]
      subject: string
      raw: Buffer
    }
  }
}

/** A real mail server on this machine that keeps what it gets: the relay until there is one. */
export interface Catcher {
  relay: Relay
  close(): Promise<void>
}

/** Newest messages kept. */
const KEPT = 10_000
const LARGEST = 50 * 1024 * 1024

interface CaughtMail {
  from: string
  to: string[]
  subject: string
  raw: Buffer
}

/** Starts the catcher on a free port of the loopback interface. */
export async function startCatcher(db: Database, clock: Clock, log: Log): Promise<Catcher> {
  const keep = coalesce((mails: CaughtMail[]) => store(db, clock, mails), { size: 100 })
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    size: LARGEST,
    banner: 'Fairlead mail catcher',
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', done)
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope
        const raw = Buffer.concat(chunks)
        subjectOf(raw)
          .then((subject) =>
            keep({
              from: mailFrom ? mailFrom.address : '',
              to: rcptTo.map((recipient) => recipient.address),
              subject,
              raw,
            }),
          )
          .then(
            () => done(),
            (error) => {
              log.warn({ err: error }, 'a message could not be caught and will be tried again')
              done(Object.assign(new Error('4.3.0 try again later'), { responseCode: 451 }))
            },
          )
      })
    },
  })
  // A client that breaks off is not our trouble.
  server.on('error', (error) => log.debug({ err: error }, 'mail catcher'))
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.server.address() as AddressInfo
  return {
    relay: { host: '127.0.0.1', port, secure: false, user: null, password: null },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

/** Only the headers are read: a body of megabytes makes no difference. */
async function subjectOf(raw: Buffer): Promise<string> {
  const end = raw.indexOf('\r\n\r\n')
  const headers = end === -1 ? raw : raw.subarray(0, end + 4)
  return ((await PostalMime.parse(headers)).subject ?? '').replaceAll('\0', '')
}

/** Keeps messages, all of them or none, and lets the oldest go. */
function store(db: Database, clock: Clock, mails: readonly CaughtMail[]): Promise<null[]> {
  const now = clock.now()
  return db.transaction().execute(async (tx) => {
    const saved = await tx
      .insertInto('caught_mail')
      .values(
        mails.map((mail) => ({
          received_at: now,
          mail_from: mail.from,
          rcpt_to: mail.to,
          subject: mail.subject,
          raw: mail.raw,
        })),
      )
      .returning('id')
      .execute()
    const newest = Math.max(...saved.map((row) => row.id))
    await sql`delete from caught_mail where id <= ${newest - KEPT}`.execute(tx)
    return mails.map(() => null)
  })
}
