import { describe, expect, test } from 'vitest'
import * as read from '../../src/api/coerce.ts'
import { ApiError } from '../../src/api/errors.ts'
import type { Value } from '../../src/api/parameters.ts'

const now = new Date('2030-03-04T15:20:30Z')
type Reader = (params: Record<string, Value>, name: string) => unknown

/** What a reader makes of a value: the result, or the error's text. */
function outcome(reader: Reader, value: Value): unknown {
  try {
    return reader({ p: value }, 'p')
  } catch (error) {
    if (error instanceof ApiError) return `${error.code} ${error.message}`
    throw error
  }
}

const time: Reader = (params, name) => read.time(params, name, now, 'UTC')?.toISOString() ?? null
const wrong = (wanted: string) => `99 Invalid value for parameter: p must be ${wanted}`

describe.each<[string, Reader, [Value, unknown][]]>([
  [
    'text',
    read.text,
    [
      ['a', 'a'],
      ['', ''],
      [7, '7'],
      [true, '1'],
      [false, '0'],
      [null, null],
      [{}, wrong('a text')],
      [['a'], wrong('a text')],
    ],
  ],
  [
    'number',
    read.number,
    [
      [7, 7],
      ['7', 7],
      [' -1.50 ', -1.5],
      ['1e3', 1000],
      [true, 1],
      ['', null],
      [null, null],
      ['7px', wrong('a number')],
      ['0x10', wrong('a number')],
      ['1e999', wrong('a number')],
      [[], wrong('a number')],
    ],
  ],
  [
    'integer',
    read.integer,
    [
      ['1099', 1099],
      [2 ** 53, wrong('a whole number')],
      [1.5, wrong('a whole number')],
      [null, null],
    ],
  ],
  [
    'bool01',
    read.bool01,
    [
      [true, true],
      [0, false],
      ['1', true],
      ['0', false],
      ['TRUE', true],
      ['false', false],
      ['', false],
      [null, null],
      [2, wrong('0 or 1')],
      ['yes', wrong('0 or 1')],
      [{}, wrong('0 or 1')],
    ],
  ],
  [
    'map',
    read.map,
    [
      [{ a: 1 }, { a: 1 }],
      [[], {}],
      ['{"a":1}', { a: 1 }],
      ['[]', {}],
      ['', null],
      [null, null],
      [['a'], wrong('a map of names to values')],
      ['{', '99 Invalid JSON in parameter: p'],
      ['7', wrong('a map of names to values')],
      [7, wrong('a map of names to values')],
    ],
  ],
  [
    'array',
    read.array,
    [
      [
        [1, 'a'],
        [1, 'a'],
      ],
      [{}, []],
      [{ 0: 'a', 2: 'b' }, ['a', 'b']],
      ['["a"]', ['a']],
      [null, null],
      [{ a: 1 }, wrong('an array')],
      ['a', '99 Invalid JSON in parameter: p'],
    ],
  ],
  [
    'commaList',
    read.commaList,
    [
      [' a@example.com, ,b@example.com,', ['a@example.com', 'b@example.com']],
      [
        ['a', ' b '],
        ['a', 'b'],
      ],
      ['', []],
      [7, ['7']],
      [null, null],
      [[{}], wrong('a list of texts')],
    ],
  ],
  [
    'time',
    time,
    [
      ['2030-03-05', '2030-03-05T00:00:00.000Z'],
      ['+1 hour', '2030-03-04T16:20:30.000Z'],
      [1900000000, '2030-03-17T17:46:40.000Z'],
      ['', null],
      [null, null],
      ['soon', '18 Invalid time: soon in parameter p'],
      [5, '18 Invalid time: 5 in parameter p'],
      [{}, '18 Invalid time: {} in parameter p'],
    ],
  ],
])('%s', (_, reader, cases) => {
  test.each(cases)('%j', (value, expected) => {
    expect(outcome(reader, value)).toEqual(expected)
  })

  test('what is absent, or only inherited, is not given', () => {
    expect(reader({}, 'p')).toBeNull()
    expect(reader({}, 'constructor')).toBeNull()
  })
})

test('required', () => {
  expect(read.required('a', 'id')).toBe('a')
  expect(read.required(0, 'id')).toBe(0)
  expect(() => read.required(null, 'id')).toThrow('Missing required parameter: id')
  expect(() => read.required('', 'id')).toThrow('Missing required parameter: id')
})

test('an error names a nested parameter as the caller knows it', () => {
  expect(() => read.integer({ qty: 'x' }, 'qty', 'items[0][qty]')).toThrow('items[0][qty] must be a number')
})
