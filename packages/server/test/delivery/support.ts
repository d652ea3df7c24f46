import { sql } from 'kysely'
import PostalMime from 'postal-mime'
import { addressHashWith } from '../../src/account/pepper.ts'
import { BELONGINGS } from '../../src/belongings.ts'
import { createRefusals } from '../../src/consent/refusals.ts'
import { createDelivery, type Delivery, type DeliveryParts } from '../../src/delivery/loop.ts'
import { createMimeWriter } from '../../src/delivery/mime/writer.ts'
import { loadSigningKeys } from '../../src/links/keys.ts'
import { createLinks } from '../../src/links/links.ts'
import { createLists } from '../../src/lists/lists.ts'
import { movableClock } from '../../src/platform/clock.ts'
import { createLog } from '../../src/platform/log.ts'
import { createProfiles } from '../../src/profiles/door.ts'
import { loadHistories } from '../../src/purchases/history.ts'
import type { MessageTable } from '../../src/sends/message-table.ts'
import { hasScheduledSends } from '../../src/sends/read.ts'
import { createSendIds } from '../../src/sends/send-id.ts'
import { createSends, type SendRequest } from '../../src/sends/sends.ts'
import { cacheSettings } from '../../src/settings/settings.ts'
import { HOST_FUNCTIONS } from '../../src/templates/compile.ts'
import { createTemplates } from '../../src/templates/templates.ts'
import { API } from '../profiles/support.ts'
import { freshDatabase } from '../support/database.ts'
import { startSmtpSink } from '../support/smtp.ts'
import { until } from '../support/until.ts'

export const PUBLIC_URL = 'https://mail.example.com'

/** Everything between a send call and the mail server, on a database of its own, with a clock that is moved. */
export async function mailHouse() {
  const fresh = await freshDatabase()
  const { db } = fresh
  const clock = movableClock('2026-03-02T10:00:00Z')
  const log = createLog('test', 'silent')
  const sink = await startSmtpSink()
  const settings = cacheSettings(db)
  const keys = await loadSigningKeys(db, clock)
  const lists = createLists({ db, clock })
  const hash = addressHashWith(Buffer.from('pepper'))
  const profiles = createProfiles({ db, clock, settings, lists, hash, belongings: BELONGINGS })
  const refusals = createRefusals({ db, profiles, hash })
  const links = createLinks({ keys, publicUrl: PUBLIC_URL, clock })
  const templates = createTemplates({ db, clock, hostFunctions: HOST_FUNCTIONS, isInUse: hasScheduledSends })
  const deliveries: Delivery[] = []
  const wakes: Array<() => void> = []
  const ids = createSendIds(keys)
  const sends = createSends({
    db,
    clock,
    settings,
    templates,
    profiles,
    refusals,
    ids,
    wake: () => {
      for (const wake of wakes) wake()
    },
  })

  const parts: DeliveryParts = {
    db,
    clock,
    log,
    settings,
    profiles,
    refusals,
    templates,
    lists,
    links,
    sendIdOf: ids.sendIdOf,
    histories: loadHistories,
    from: { name: 'The Shop', address: 'shop@example.org' },
    relays: [{ host: '127.0.0.1', port: sink.port, secure: false, user: null, password: null }],
    returnPathOf: null,
    mime: createMimeWriter(),
    dkim: [],
    onWake: (hear) => wakes.push(hear),
    connections: 4,
  }

  return {
    ...fresh,
    clock,
    sink,
    settings,
    profiles,
    refusals,
    lists,
    links,
    templates,
    sends,
    parts,
    /** Starts a worker; several may run at once. */
    deliver(changes: Partial<DeliveryParts> = {}): Delivery {
      const delivery = createDelivery({ ...parts, ...changes })
      deliveries.push(delivery)
      delivery.start()
      return delivery
    },
    /** Queues one message and returns its id. */
    async send(template: string, email: string, more: Partial<SendRequest> = {}): Promise<number> {
      const outcome = await sends.send(sendOf(template, email, more))
      const first = outcome.ok ? outcome.sends[0] : undefined
      if (!first?.ok) throw new Error(`not queued: ${JSON.stringify(outcome)}`)
      return first.messageId
    },
    /** Waits until the message is in one of these states. */
    async reaches(id: number, ...states: Array<MessageTable['state']>): Promise<MessageTable> {
      let last = ''
      return until(
        () => `message ${id} is ${states.join(' or ')}; it is ${last}`,
        async () => {
          const row = await this.row(id)
          last = `${row.state} after ${row.attempts} attempts, ${row.reason}, ${row.reply?.slice(0, 200)}`
          return states.includes(row.state) && row
        },
      )
    },
    async row(id: number): Promise<MessageTable> {
      const { rows } = await sql<MessageTable>`select * from message where id = ${id}`.execute(db)
      return rows[0]!
    },
    async addressState(address: string): Promise<string | undefined> {
      const { rows } = await sql<{ state: string }>`select state from address where address = ${address}`.execute(db)
      return rows[0]?.state
    },
    async end() {
      await Promise.all(deliveries.map((delivery) => delivery.stop()))
      await sink.close()
      await fresh.drop()
    },
  }
}

export type MailHouse = Awaited<ReturnType<typeof mailHouse>>

export function sendOf(template: string, email: string | string[], more: Partial<SendRequest> = {}): SendRequest {
  const emails = Array.isArray(email) ? email : [email]
  return { template, emails, vars: {}, evars: {}, options: {}, origin: 'api', act: API, ...more }
}

/** Reads a message as a mail program does. */
export async function read(raw: string) {
  const mail = await PostalMime.parse(raw)
  const header = (name: string) => mail.headers.find((one) => one.key === name.toLowerCase())?.value
  return { ...mail, header }
}
