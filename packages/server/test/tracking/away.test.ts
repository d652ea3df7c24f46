import { sql } from 'kysely'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { createRecorder, type Seen } from '../../src/activity/record.ts'
import { createLog } from '../../src/platform/log.ts'
import { createMetrics } from '../../src/platform/metrics.ts'
import { openTracking } from './support.ts'

test('while the database is away, links lead on; what is seen meanwhile waits within bounds and is written once', async () => {
  const house = await openTracking()
  const mail = await house.mail('away@example.com', {
    content_html: '<a href="https://a.example/">1</a><a href="https://b.example/?sailthru_lists[Daily]=1">2</a>',
  })
  const { rows } = await sql<{ name: string }>`select current_database() as name`.execute(house.db)
  const name = rows[0]!.name
  const server = new pg.Client({ ...inject('postgres'), database: 'postgres' })
  await server.connect()
  const metrics = createMetrics()
  const figure = (name: string) => metrics.snapshot().find((family) => family.name === name)!.samples[0]!.value
  const recorder = createRecorder({ db: house.db, log: createLog('test', 'silent'), metrics })

  await server.query(`alter database ${name} allow_connections false`)
  await server.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
  const { messageId } = mail
  const seen: Seen = { messageId, type: 'open', link: null, url: null, score: 0, at: house.clock.now(), acts: null }
  for (let n = 0; n < 50_010; n++) recorder.record(seen)
  await recorder.flush()
  expect(figure('fairlead_activity_waiting')).toBe(50_000)
  expect(figure('fairlead_activity_lost_total')).toBe(10)
  for (const number of [0, 1]) {
    const { status, headers } = await house.visit(mail.link(number))
    expect([status, headers.get('location')]).toEqual([302, `https://${'ab'[number]}.example/`])
  }
  expect((await house.visit(mail.pixel!)).status).toBe(200)

  await server.query(`alter database ${name} allow_connections true`)
  await server.end()
  await recorder.close()
  expect(figure('fairlead_activity_waiting')).toBe(0)
  expect(figure('fairlead_activity_lost_total')).toBe(10)
  const events = await house.events(messageId, 50_003)
  expect(events.filter(({ type }) => type === 'click').map(({ link }) => link)).toEqual([0, 1])
  await house.close()
})
