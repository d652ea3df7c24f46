import { expect, test } from 'vitest'
import { keepCostly } from '../../src/platform/costly.ts'

test('what was quick is found out each time, what was not is kept, also that there is nothing', async () => {
  let [now, wait] = [0, 0]
  const asked: number[][] = []
  const answer = keepCostly(
    async (ids) => {
      asked.push([...ids])
      now += wait
      return new Map(ids.filter((id) => id < 10).map((id) => [id, `no. ${id}`]))
    },
    () => now,
  )
  expect(await answer([1, 11])).toEqual(new Map([[1, 'no. 1']]))
  wait = 80
  expect(await answer([1, 11])).toEqual(new Map([[1, 'no. 1']]))
  wait = 0
  expect(await answer([1, 2, 11])).toEqual(
    new Map([
      [1, 'no. 1'],
      [2, 'no. 2'],
    ]),
  )
  expect(asked).toEqual([[1, 11], [1, 11], [2]])
})
