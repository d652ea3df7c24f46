import { expect, test } from 'vitest'
import { createLine } from '../../src/delivery/line.ts'
import { createPacing } from '../../src/delivery/pacing.ts'
import type { ReadyMessage } from '../../src/delivery/prepare.ts'
import { createSupply } from '../../src/delivery/supply.ts'

test('a stop takes back what is being marked at that moment: unsent, it must not be left looking attempted', async () => {
  const pacing = createPacing()
  const line = createLine(pacing)
  const messages = ['1@example.com', '2@example.com'].map((address) => ({ message: { address } }) as ReadyMessage)
  let marked = () => {}
  const mark = (some: readonly ReadyMessage[]) =>
    new Promise<boolean>((resolve) => {
      marked = () => resolve(some.length > 0)
    })
  const supply = createSupply({ line, pacing, ahead: 10, mark, lost: () => {} })
  line.add(messages)
  const asked = supply.next(60_000)
  supply.stop()
  expect(await asked).toBeNull()
  const drained = supply.drain()
  marked()
  expect(await drained).toEqual(messages)
})
