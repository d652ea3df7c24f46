import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sign, verifySignature } from '../../src/account/signature.ts'

const key = '0123456789abcdef0123456789abcdef'
const secret = 'fedcba9876543210fedcba9876543210'

/** Published vectors: the values in the order they were given, and the signature every client makes of them. */
const vectors: [name: string, values: string[], signature: string][] = [
  ['JSON style', [key, 'json', '{"id":"ada@example.com"}'], '1eddda7537f9ab7d14f73752be50bc4b'],
  ['an empty PHP payload', [key, 'json', '[]'], '523ba7a49a6b85aea3f93629f8ab0afc'],
  ['bracket style', [key, 'json', 'Welcome', 'ada@example.com', 'Ada', '2', '1'], 'b2911d6ea9998014625e444e9b0cdb4d'],
  ['an opt-out postback', ['optout', 'ada@example.com', 'basic', '1', key], 'ecda649c26877384ec4a56ea63334214'],
  ['unescaped non-ASCII', [key, 'json', '{"id":"zoë@example.com","key":"email"}'], '63721a38e3a74b28e6918a639c0b0ff9'],
  [
    'a postback with nested values',
    ['update', '4f0c1d2e3a4b5c6d7e8f9012', 'ada@example.com', 'none', '1', '0', 'blue', key],
    'f05c604b86c35c9bdb981571e473f5b7',
  ],
  [
    'an opt-out call',
    [key, 'json', '{"id":"ada@example.com","optout_email":"basic"}'],
    '50f71f8847b93948e2d8de86aa27f599',
  ],
  ['a send', [key, 'json', '{"template":"Weekly tips","email":"ada@example.com"}'], '9584c7101839a8b061c79c01ce537e3e'],
  [
    'an opt-in call',
    [key, 'json', '{"id":"ada@example.com","optout_email":"none"}'],
    'd6ab2149321a43986f6e117d88491bba',
  ],
]

describe('signature', () => {
  test.each(vectors)('of %s', (_, values, signature) => {
    expect(sign(values, secret)).toBe(signature)
    expect(sign(values.toReversed(), secret)).toBe(signature)
    expect(verifySignature(values, secret, signature)).toBe(true)
    expect(verifySignature(values, `${secret}x`, signature)).toBe(false)
  })

  test('sorts case-sensitively: digits, upper case, lower case, braces', () => {
    expect(sign(['{', 'a', 'B', '1'], 's')).toBe(md5('s1Ba{'))
  })

  test('sorts by UTF-8 bytes, and takes UTF-16 order from JavaScript and Java', () => {
    const values = ['\u{1f600}', '\uffe5']
    expect(sign(values, 's')).toBe(md5('s\uffe5\u{1f600}'))
    expect(verifySignature(values, 's', md5('s\uffe5\u{1f600}'))).toBe(true)
    expect(verifySignature(values, 's', md5('s\u{1f600}\uffe5'))).toBe(true)
  })

  test('is no other text of the same or another length', () => {
    const right = sign(['a'], 's')
    for (const wrong of ['', right.slice(1), `${right}0`, right.toUpperCase(), 'é'.repeat(32), 'é'.repeat(16)]) {
      expect(verifySignature(['a'], 's', wrong)).toBe(false)
    }
  })

  test('agrees with sorting the bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (values) => {
        const bytes = values.map((value) => Buffer.from(value)).sort(Buffer.compare)
        expect(sign(values, 's')).toBe(createHash('md5').update('s').update(Buffer.concat(bytes)).digest('hex'))
      }),
    )
  })
})

const md5 = (text: string) => createHash('md5').update(text).digest('hex')
