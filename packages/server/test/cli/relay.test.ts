import { afterAll, beforeAll, expect, test } from 'vitest'
import { runCommand } from '../../src/cli/index.ts'
import { type SmtpSink, startSmtpSink } from '../support/smtp.ts'

let sink: SmtpSink
beforeAll(async () => {
  sink = await startSmtpSink()
})
afterAll(() => sink.close())

async function relay(args: string[], env: { [name: string]: string } = {}) {
  const [said, complaints]: [string[], string[]] = [[], []]
  const print = (text: string) => void said.push(text)
  const complain = (text: string) => void complaints.push(text)
  const code = await runCommand(['relay', ...args], { FAIRLEAD_FROM: 'shop@example.org', ...env }, { print, complain })
  return { code, said, complaints }
}

test('without a relay it says where mail goes', async () => {
  expect(await relay(['test'])).toEqual({
    code: 0,
    said: ['FAIRLEAD_SMTP_URL is not set: mail is caught here, see "fairlead mail list"'],
    complaints: [],
  })
})

test('one line for each finding, and exit code 0 when nothing is wrong', async () => {
  const { code, said } = await relay(['test', '--to', 'Ada@example.com'], { FAIRLEAD_SMTP_URL: sink.url })
  expect(said[0]).toBe(`127.0.0.1:${sink.port}`)
  for (const line of said.slice(1)) expect(line).toMatch(/^(ok|note) +\w[\w-]*: /)
  expect(said.join('\n')).toContain('message: sent to Ada@example.com')
  expect(said.at(-1)).toContain('DKIM: FAIRLEAD_DKIM names no key')
  expect(code).toBe(0)
  expect(sink.messages).toMatchObject([{ from: 'shop@example.org', to: ['Ada@example.com'] }])
})

test('exit code 1 when something is, of several relays each by itself', async () => {
  sink.refuse({ phase: 'mail', code: 550, text: '5.7.1 sender refused', times: 1 })
  const { code, said } = await relay(['test'], { FAIRLEAD_SMTP_URL: `${sink.url} ${sink.url}` })
  expect(code).toBe(1)
  expect(said.filter((line) => line.startsWith('WRONG'))).toEqual([
    'WRONG  sender: shop@example.org: 550 5.7.1 sender refused',
  ])
  expect(said.filter((line) => line === `127.0.0.1:${sink.port}`)).toHaveLength(2)
})

test('a bad address is one line', async () => {
  expect(await relay(['test', '--to', 'ada'], { FAIRLEAD_SMTP_URL: sink.url })).toEqual({
    code: 1,
    said: [],
    complaints: ['fairlead: ada is not an email address'],
  })
})
