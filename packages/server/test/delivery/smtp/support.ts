import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openSmtp, type SmtpOptions, type SmtpSession } from '../../../src/delivery/smtp/open.ts'
import { type Script, type ScriptedSmtp, startScriptedSmtp } from '../../support/scripted-smtp.ts'

const fixture = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')

/**
 * Made with openssl for these tests and good for nothing else. The authority vouches for all three; `server` is made out
 * to relay.example.com, localhost and 127.0.0.1, `elsewhere` to another host, and `expired` ended in 2021.
 */
export const AUTHORITY = fixture('authority.pem')
const key = fixture('server.key')
export const CERTIFICATES = {
  server: { key, cert: fixture('server.pem') },
  elsewhere: { key, cert: fixture('elsewhere.pem') },
  expired: { key, cert: fixture('expired.pem') },
}

/** Opening options for a server on this machine; nothing encrypted, nobody signed in. */
export function to(port: number, more: Partial<SmtpOptions> = {}): SmtpOptions {
  return {
    host: '127.0.0.1',
    port,
    tls: 'off',
    verify: true,
    credentials: null,
    mechanism: null,
    name: 'test.example.com',
    ...more,
  }
}

/** A server with a script. */
export async function scripted(script: Script = {}): Promise<ScriptedSmtp> {
  const server = await startScriptedSmtp(script)
  onTestFinished(() => server.close())
  return server
}

/** Opens a session that must come about. */
export async function open(port: number, more: Partial<SmtpOptions> = {}): Promise<SmtpSession> {
  const opened = await openSmtp(to(port, more))
  if (!opened.ok) throw new Error(`${opened.stage}: ${opened.problem}`)
  onTestFinished(() => opened.session.close())
  return opened.session
}

export const CONTENT = Buffer.from('Subject: hello\r\n\r\nHello.\r\n')
export const ENVELOPE = { from: 'shop@example.org', to: ['ada@example.com'] }
export const COPIED = { from: 'shop@example.org', to: ['ada@example.com', 'cc@example.com', 'bcc@example.com'] }
