import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createDeliveryMetrics } from '../../src/delivery/metrics.ts'
import { createDeliveryReport, withoutAddresses } from '../../src/delivery/report.ts'
import { describeError } from '../../src/platform/log.ts'
import { createMetrics } from '../../src/platform/metrics.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function report() {
  const lines: Array<Record<string, unknown>> = []
  const log = pino(
    { serializers: { err: describeError } },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  )
  const metrics = createDeliveryMetrics(createMetrics())
  const said = createDeliveryReport(log, metrics)
  said.start()
  const taken = () => lines.splice(0).map(({ level, time: _, pid: __, hostname: ___, ...rest }) => ({ level, ...rest }))
  return { metrics, said, taken }
}

test('one line a minute says what was done, and none when nothing was', () => {
  const { metrics, said, taken } = report()
  for (let n = 0; n < 3; n++) metrics.settled('triggered', 'sent', 100)
  metrics.settled('campaign', 'deferred', 100)
  metrics.handedOver({ kind: 'broken', problem: 'closed', phase: 'data', isInDoubt: false })
  metrics.unreachable()
  vi.advanceTimersByTime(60_000)
  expect(taken()).toEqual([
    { level: 30, sent: 3, deferred: 1, relay: { connection: 1, unreachable: 1 }, msg: 'delivery' },
  ])
  vi.advanceTimersByTime(600_000)
  expect(taken()).toEqual([])
  metrics.settled('campaign', 'sent', 100)
  said.stop()
  expect(taken()).toEqual([{ level: 30, sent: 1, msg: 'delivery' }])
})

test('trouble is told once a minute for each class, and without addresses', () => {
  const { said, taken } = report()
  for (let n = 1; n <= 1_000; n++) said.problem('block', n, '550 5.7.1 <ada@example.com>: spam, see abuse@example.net')
  said.problem('config', 7, null)
  expect(taken()).toMatchObject([
    { level: 40, class: 'block', message: 1, reply: '550 5.7.1 <(address)>: spam, see (address)' },
    { level: 40, class: 'config', message: 7, reply: null },
  ])
  vi.advanceTimersByTime(60_000)
  said.problem('block', 1_001, '550 no')
  expect(taken()).toMatchObject([{ class: 'block', message: 1_001 }])
  said.stop()
})

test('a database that is away is told once a minute, and its errors without the values of rows', () => {
  const { said, taken } = report()
  const error = Object.assign(new Error('violates a constraint'), {
    code: '23502',
    detail: 'Failing row contains (1, ada@example.com).',
    where: 'COPY message, line 1: "ada@example.com"',
  })
  for (let n = 0; n < 400; n++) said.unwritten(error)
  const lines = taken()
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({ level: 40, err: { message: 'violates a constraint', code: '23502' } })
  expect(JSON.stringify(lines)).not.toContain('ada@')
  said.stop()
})

test('addresses are taken out of what servers say, and nothing else is', () => {
  expect(withoutAddresses('550 5.1.1 ada+x@example.com... User unknown (in reply to RCPT)')).toBe(
    '550 5.1.1 (address) User unknown (in reply to RCPT)',
  )
  expect(withoutAddresses("451 'grüße@bücher.example' is greylisted @ home")).toBe(
    "451 '(address)' is greylisted @ home",
  )
  expect(withoutAddresses('421 4.7.0 too many connections')).toBe('421 4.7.0 too many connections')
})
