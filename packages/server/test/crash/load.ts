import { type Sailthru, sailthruClient } from '../support/sailthru.ts'

/** What callers did and were told, over all lives of the server. */
export interface Record {
  /** Addresses of new people: whether their creation was acknowledged. */
  people: Map<string, boolean>
  /** For each regular: the value last acknowledged, and the one last asked for. */
  regulars: Map<string, { acknowledged: number; asked: number }>
  /** Numbers of sends: the send id when acknowledged, else null. */
  sends: Map<number, string | null>
  /** Answers that were no success although somebody answered, by error code. */
  refusals: Map<number, number>
}

export const TEMPLATE = 'Order shipped'
export const LIST = 'Weekly'

export const newRecord = (): Record => ({
  people: new Map(),
  regulars: new Map(),
  sends: new Map(),
  refusals: new Map(),
})

/** Numbers that no two calls share. */
export interface Numbers {
  next(): number
}

/**
 * Callers who go on until the server does not answer any more: some bring new people, some change a person of their
 * own again and again, some send. Resolves when all have noticed.
 */
export async function callUntilDead(
  server: { url: string; key: string; secret: string },
  record: Record,
  numbers: Numbers,
  callers: { newcomers: number; regulars: number; senders: number },
): Promise<void> {
  const client = sailthruClient(server)
  const each = (count: number, work: (index: number) => Promise<void>) =>
    Array.from({ length: count }, (_, i) => work(i))
  await Promise.all([
    ...each(callers.newcomers, () => bringPeople(client, record, numbers)),
    ...each(callers.regulars, (index) => changeOne(client, record, `regular${index}@example.com`)),
    ...each(callers.senders, () => send(client, record, numbers)),
  ])
}

async function bringPeople(client: Sailthru, record: Record, numbers: Numbers): Promise<void> {
  for (;;) {
    const number = numbers.next()
    const email = `person${number}@example.com`
    record.people.set(email, false)
    const { status, error } = await client.post('user', {
      id: email,
      key: 'email',
      vars: { number },
      lists: { [LIST]: 1 },
    })
    if (status === 0) return
    if (error === null) record.people.set(email, true)
    else note(record, error)
  }
}

/** Odd numbers opt the person out, even ones back in, so that every change is one row of the ledger. */
async function changeOne(client: Sailthru, record: Record, email: string): Promise<void> {
  const regular = record.regulars.get(email) ?? { acknowledged: 0, asked: 0 }
  record.regulars.set(email, regular)
  for (;;) {
    // A change that was refused may have been made all the same: it is asked for again, which must do no harm.
    const count = regular.acknowledged + 1
    regular.asked = count
    const change = { vars: { count }, optout_email: count % 2 === 1 ? 'all' : 'none' }
    const { status, error } = await client.post('user', { id: email, key: 'email', ...change })
    if (status === 0) return
    if (error === null) regular.acknowledged = count
    else note(record, error)
  }
}

async function send(client: Sailthru, record: Record, numbers: Numbers): Promise<void> {
  for (;;) {
    const number = numbers.next()
    record.sends.set(number, null)
    const email = `reader${number % 50}@example.com`
    const { status, error, body } = await client.post('send', { template: TEMPLATE, email, vars: { number } })
    if (status === 0) return
    if (error === null) record.sends.set(number, String(body.send_id))
    else note(record, error)
  }
}

function note({ refusals }: Record, error: number): void {
  refusals.set(error, (refusals.get(error) ?? 0) + 1)
}
