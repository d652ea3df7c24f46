import type { Capabilities } from './capabilities.ts'
import { writeCommands } from './commands.ts'
import { isPositive, type Reply, textOf } from './reply.ts'
import type { Wire } from './wire.ts'

/** What a server says to one command. */
export interface Said {
  ok: boolean
  text: string
}

/** Asks whether a message would be taken, and sends none. `rcpt` is null when it was not asked. */
export type Probe = (from: string, to: string) => Promise<{ mail: Said; rcpt: Said | null }>

/** MAIL and RCPT, then RSET, one at a time: nothing is hurried here, and some servers say more to those who wait. */
export function createProbe(wire: Wire, offers: Capabilities): Probe {
  const said = ([reply]: readonly Reply[]): Said =>
    reply ? { ok: isPositive(reply), text: textOf(reply) } : { ok: false, text: wire.ended() ?? 'no answer' }

  return async (from, to) => {
    const written = writeCommands({ from, to: [to] }, Buffer.alloc(0), offers)
    if (!written.ok) return { mail: { ok: false, text: written.problem }, rcpt: null }
    const mail = said(await wire.ask(written.commands.mail, ['mail']))
    const rcpt = mail.ok ? said(await wire.ask(written.commands.rcpts[0]!, ['rcpt'])) : null
    await wire.ask('RSET\r\n', ['rset'])
    return { mail, rcpt }
  }
}
