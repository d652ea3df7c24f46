import { expect, test } from 'vitest'
import { GIVE_UP_AFTER, waitAfter, waitClassOf } from '../../src/delivery/backoff.ts'
import { classify, type ReplyClass, type SmtpReply } from '../../src/delivery/classify.ts'

const rcpt = (code: number, text: string): SmtpReply => ({ phase: 'rcpt', code, text })

test.each<[number, string, ReplyClass]>([
  [450, '4.2.0 greylisted, try again', 'deferral'],
  [452, '4.2.2 mailbox full', 'deferral'],
  [550, '5.1.1 <x@example.com>: Recipient address rejected: User unknown in virtual mailbox table', 'user'],
  [550, '5.1.6 the mailbox has moved', 'user'],
  [550, 'No such user here', 'user'],
  [550, "5.7.1 this user doesn't exist", 'user'],
  [550, '5.4.1 Recipient address rejected: Access denied', 'user'],
  [550, '5.4.1 no answer from host', 'soft'],
  [550, '5.2.1 The email account that you tried to reach is disabled', 'disabled'],
  [550, '5.7.13 sender not wanted', 'disabled'],
  [554, 'account has been suspended', 'disabled'],
  [550, '5.1.2 bad destination system', 'domain'],
  [550, '5.1.3 bad syntax', 'invalid'],
  [556, '5.1.10 recipient domain has a null MX', 'invalid'],
  [552, '5.2.2 over quota', 'full'],
  [552, 'mailbox quota exceeded', 'full'],
  [552, '5.2.3 message length exceeds administrative limit', 'content'],
  [554, '5.6.0 content form not allowed', 'content'],
  [554, '5.7.1 Service unavailable; client host blocked using Spamhaus', 'block'],
  [550, '5.7.0 local policy violation', 'block'],
  [550, '5.7.26 unauthenticated mail is refused', 'config'],
  [553, '5.1.8 sender domain not found', 'config'],
  [503, '5.5.1 bad sequence of commands', 'config'],
  [550, '5.0.0 refused', 'soft'],
  [550, '5.2.0 mailbox trouble', 'soft'],
  [550, 'no', 'soft'],
])('%i %s: %s', (code, text, expected) => {
  expect(classify(rcpt(code, text))).toBe(expected)
})

test('a refused sender is our fault, whatever is said about it', () => {
  expect(classify({ phase: 'mail', code: 550, text: '5.1.1 no such user' })).toBe('config')
})

test('an unexplained refusal of the content says nothing about the mailbox', () => {
  expect(classify({ phase: 'data', code: 554, text: 'transaction failed' })).toBe('content')
})

test('waits grow, and are longer where hurrying does harm', () => {
  for (const kind of ['connection', 'temporary', 'throttled', 'full'] as const) {
    const waits = Array.from({ length: 12 }, (_, n) => waitAfter(kind, n + 1))
    expect(waits).toEqual([...waits].sort((a, b) => a - b))
    expect(waits.at(-1)).toBeLessThan(GIVE_UP_AFTER)
  }
  expect(waitClassOf(rcpt(452, '4.2.2 full'))).toBe('full')
  expect(waitClassOf(rcpt(451, '4.7.1 rate limit exceeded'))).toBe('throttled')
  expect(waitClassOf(rcpt(450, 'greylisted'))).toBe('temporary')
})
