import { expect, test } from 'vitest'
import { createRoom } from '../../src/delivery/room.ts'

test('the faster messages leave, the more are held, up to a limit', () => {
  const room = createRoom()
  const taken = [room.free(0)]
  for (let turn = 0; turn < 7; turn++) {
    room.left(100)
    taken.push(room.free(10))
  }
  expect(taken).toEqual([32, 54, 118, 246, 250, 250, 250, 250])
  expect([room.free(500), room.free(501)]).toEqual([250, 0])
  expect([room.opensAt(500), room.opensAt(499)]).toEqual([true, false])
})

test('when what leaves was decided about long ago, fewer are held', () => {
  const room = createRoom()
  for (let turn = 0; turn < 7; turn++) {
    room.left(100)
    room.free(0)
  }
  for (let turn = 0; turn < 7; turn++) {
    room.left(100)
    room.left(2_001)
    room.left(100)
    room.free(0)
  }
  room.left(60_000)
  expect(room.free(0)).toBe(32)
  expect(room.free(17)).toBe(0)
})

test('after a rest nothing is known, and few are taken again', () => {
  const room = createRoom()
  for (let turn = 0; turn < 7; turn++) {
    room.left(100)
    room.free(0)
  }
  expect(room.free(0)).toBe(32)
})
