import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assertSuccess, encode, formatNamed } from '../../src/api/answer.ts'
import * as errors from '../../src/api/errors.ts'

const xml = (answer: Record<string, unknown>) =>
  encode(answer, 'xml')
    .replace('<?xml version="1.0" encoding="UTF-8"?>\n<triggermail>', '')
    .replace('</triggermail>\n', '')

describe('XML answers', () => {
  test('an error', () => {
    expect(encode({ ...errors.missingParameter('api_key').body }, 'xml')).toBe(
      '<?xml version="1.0" encoding="UTF-8"?>\n<triggermail><error>2</error><errormsg>Missing required parameter: api_key</errormsg></triggermail>\n',
    )
  })

  test.each([
    [{ ok: true, send_key: null, n: 1.5, gone: undefined }, '<ok>1</ok><send_key></send_key><n>1.5</n>'],
    [{ templates: [{ name: 'a' }, 'b'] }, '<templates><item><name>a</name></item><item>b</item></templates>'],
    [{ lists: { 'Weekly news': 1, ok: 2 } }, '<lists><item key="Weekly news">1</item><ok>2</ok></lists>'],
    [
      { '1': 'a', xmlish: 'b', item: 'c', '"<': 'd' },
      '<item key="1">a</item><item key="xmlish">b</item><item key="item">c</item><item key="&quot;&lt;">d</item>',
    ],
    [
      { text: '<a href="x">&\u0000\u0007\r\ud800\uffff</a>' },
      '<text>&lt;a href=&quot;x&quot;&gt;&amp;&#13;\ufffd&lt;/a&gt;</text>',
    ],
    [{ empty: {}, none: [] }, '<empty></empty><none></none>'],
  ])('%j', (answer, content) => {
    expect(xml(answer)).toBe(content)
  })

  test('any JSON makes balanced elements and holds no character that XML forbids', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), (answer) => {
        const text = encode(answer, 'xml')
        const open: string[] = []
        for (const [, closing, name] of text.matchAll(/<(\/?)([\w.-]+)(?: key="[^"<>]*")?>/g)) {
          if (closing) expect(open.pop()).toBe(name)
          else open.push(name as string)
        }
        expect(open).toEqual([])
        expect(text).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/)
      }),
    )
  })
})

test('a format is XML unless named, and unknown ones are no format', () => {
  expect([undefined, 'json', 'xml', 'php', 'JSON', '', ['json']].map(formatNamed)).toEqual([
    'xml',
    'json',
    'xml',
    null,
    null,
    null,
    null,
  ])
})

test('what clients would take for a failure is never sent as a success', () => {
  for (const answer of [{}, { error: 0 }, [], null, 'ok']) expect(() => assertSuccess(answer as never)).toThrow()
  expect(() => assertSuccess({ ok: true })).not.toThrow()
})

describe('the error catalogue', () => {
  test.each([
    [errors.unsupportedMethod('POST', 'stats'), 1, 405, 'Unsupported method: POST is not supported by /stats'],
    [errors.missingParameter('sig'), 2, 400, 'Missing required parameter: sig'],
    [errors.missingField('schedule_time', 'blast'), 2, 400, 'Missing required field: schedule_time for blast'],
    [errors.invalidApiKey('x'), 3, 401, 'Invalid API key: x'],
    [errors.signatureMismatch(), 5, 401, 'Authentication failed: Signature hash does not match'],
    [errors.invalidEmail('a@'), 11, 400, 'Invalid email: a@'],
    [errors.unknownSend('x'), 12, 404, 'Unknown send_id: x'],
    [errors.unknownBlast(7), 13, 404, 'Unknown blast_id: 7'],
    [errors.unknownTemplate('x'), 14, 404, 'Unknown template: x'],
    [errors.unknownList('x'), 15, 404, 'Unknown list: x'],
    [errors.invalidTime('date', 'x'), 18, 400, 'Invalid time: x in parameter date'],
    [errors.refusedRecipient(31, 'a@b'), 31, 403, 'Email is on the blacklist: a@b'],
    [errors.refusedRecipient(32, 'a@b'), 32, 403, 'Email has opted out of delivery from client: a@b'],
    [errors.refusedRecipient(33, 'a@b'), 33, 403, 'Email has opted out of delivery from template: a@b'],
    [errors.refusedRecipient(34, 'a@b'), 34, 403, 'Email may not be emailed: a@b'],
    [errors.refusedRecipient(35, 'a@b'), 35, 403, 'Email is a known hardbounce: a@b'],
    [errors.unverifiedSender('a@b'), 36, 400, 'Unverified from email: a@b'],
    [errors.refusedRecipient(37, 'a@b'), 37, 403, 'Email will only accept basic templates: a@b'],
    [errors.alreadySent('x'), 41, 403, 'Unable to delete, already sent: x'],
    [errors.invalidUtf8('x'), 42, 400, 'Invalid UTF-8 characters for field: x'],
    [errors.tooManyRequests('POST', 'send'), 43, 429, 'Too many POST requests this minute to /send API'],
    [errors.userNotFound('email', 'a@b'), 99, 404, 'User not found with email: a@b'],
    [errors.keyConflict('extid'), 99, 409, 'Key conflict: extid'],
    [errors.noItems(), 99, 400, 'No items in purchase'],
    [errors.unknownEndpoint('foo'), 99, 404, 'Unknown endpoint: foo'],
  ])('%s', (error, code, status, message) => {
    expect(error.body).toEqual({ error: code, errormsg: message })
    expect(error.status).toBe(status)
  })

  test("quotes callers' texts shortly and on one line", () => {
    expect(errors.unknownList('a\r\nb').message).toBe('Unknown list: a  b')
    expect(errors.invalidEmail('x'.repeat(10_000)).message.length).toBeLessThan(250)
    expect(errors.invalidEmail(`${'x'.repeat(199)}\u{1f600}`).message.isWellFormed()).toBe(true)
  })
})
