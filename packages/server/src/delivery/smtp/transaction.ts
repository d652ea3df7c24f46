import type { Capabilities } from './capabilities.ts'
import { type Envelope, writeCommands } from './commands.ts'
import { endOf, NOTHING, stuffed, type Traits } from './content.ts'
import { broken, refused, type TransmitOutcome } from './outcome.ts'
import { CLOSING, isPositive, isRefusal, type Reply, textOf } from './reply.ts'
import type { ContentSent, Wire } from './wire.ts'

/**
 * Hands one message over. Never rejects; must not be called again before the last call is done.
 *
 * @param meanwhile called when the content is on its way and its answer is waited for, if it comes so far
 */
export type Transmit = (
  envelope: Envelope,
  content: Buffer,
  traits?: Traits,
  meanwhile?: () => void,
) => Promise<TransmitOutcome>

type CommandStep = 'rset' | 'mail' | 'rcpt' | 'data'

/** Commands that go out together. */
interface Group {
  text: string
  steps: readonly CommandStep[]
}

/** What was answered to the commands so far. */
interface Heard {
  mail: Reply | null
  rcpts: Reply[]
  data: Reply | null
}

/**
 * Mail transactions over one connection, one after the other (RFC 5321 §3.3). With pipelining the commands of a message
 * are one write and their answers one wait, then the content is the second (RFC 2920).
 */
export function createTransmit(wire: Wire, offers: Capabilities): Transmit {
  /** A refused transaction may still stand on the other side: the next message begins with RSET (RFC 5321 §4.1.1.5). */
  let isClean = true

  /** Cuts the connection: after an answer that fits nothing, no later one can be trusted. */
  function outOfStep(step: CommandStep | 'final', reply: Reply): TransmitOutcome {
    const problem = `an answer out of step: ${textOf(reply)}`
    wire.cut(problem)
    return broken(step === 'rset' ? 'mail' : step, problem)
  }

  /** @returns how the message ended here; null: go on */
  function judge({ steps }: Group, replies: readonly Reply[], heard: Heard, count: number): TransmitOutcome | null {
    for (let index = 0; index < replies.length; index++) {
      const reply = replies[index]!
      const step = steps[index]!
      const fits = step === 'data' ? reply.code >= 300 : isPositive(reply) || (isRefusal(reply) && step !== 'rset')
      if (!fits && reply.code !== CLOSING) return outOfStep(step, reply)
      if (step === 'mail') heard.mail = reply
      else if (step === 'rcpt') heard.rcpts.push(reply)
      else if (step === 'data') heard.data = reply
    }
    const refusal = refusalOf(heard, count)
    if (refusal) return refusal
    const [last, unanswered] = [replies.at(-1), steps[replies.length]]
    // Closing down (RFC 5321 §3.8), in whatever place: not now.
    if (last?.code === CLOSING) return refused('mail', last)
    return unanswered ? broken(unanswered === 'rset' ? 'mail' : unanswered, wire.ended()!) : null
  }

  function judgeContent({ reply, isWhole }: ContentSent, began: number): TransmitOutcome {
    if (reply === null) return broken(isWhole ? 'final' : 'content', wire.ended()!)
    if (isPositive(reply)) return { kind: 'accepted', reply: textOf(reply), ms: performance.now() - began }
    if (!isRefusal(reply)) return outOfStep('final', reply)
    isClean = false
    if (!isWhole) wire.cut('the content was refused before its end')
    return refused('data', reply)
  }

  return async (envelope, content, traits, meanwhile) => {
    const began = performance.now()
    const written = writeCommands(envelope, content, offers, traits)
    if (!written.ok) return { kind: 'unsendable', problem: written.problem }
    if (wire.ended() !== null) return broken('mail', wire.ended()!)
    const { mail, rcpts } = written.commands
    const groups = groupsOf(mail, rcpts, !isClean, offers.pipelining)
    isClean = true
    const heard: Heard = { mail: null, rcpts: [], data: null }
    for (const group of groups) {
      const outcome = judge(group, await wire.ask(group.text, group.steps), heard, rcpts.length)
      if (!outcome) continue
      isClean = false
      // DATA went out with a command that was refused and was answered as if it had not been: the server waits for a
      // content now, and gets none (RFC 2920 §3.1).
      if (heard.data && !isRefusal(heard.data)) await wire.sendContent(Buffer.alloc(0), NOTHING)
      return outcome
    }
    const bytes = traits?.leadingDot === false ? content : stuffed(content)
    const sending = wire.sendContent(bytes, endOf(bytes))
    meanwhile?.()
    const outcome = judgeContent(await sending, began)
    // Copies went out, but not to the person: that their address is refused is what there is to know.
    const [person] = heard.rcpts
    return person && isRefusal(person) ? refused('rcpt', person) : outcome
  }
}

/**
 * What ends a message before its content. Copies alone are worth sending when the person is refused for good. When the
 * person is refused for now nothing goes out, as the next attempt would send the copies again.
 */
function refusalOf({ mail, rcpts, data }: Heard, count: number): TransmitOutcome | null {
  if (mail && isRefusal(mail)) return refused('mail', mail)
  const [person] = rcpts
  if (person && isRefusal(person)) {
    if (person.code < 500 || (rcpts.length === count && rcpts.every(isRefusal))) return refused('rcpt', person)
  }
  return data && isRefusal(data) ? refused('data', data) : null
}

const ONE_RECIPIENT = ['mail', 'rcpt', 'data'] as const
const ONE_RECIPIENT_AFTER_RESET = ['rset', ...ONE_RECIPIENT] as const
const DATA = 'DATA\r\n'
const RSET = 'RSET\r\n'

/** With copies, DATA waits until it is known that the person was not refused for now. */
function groupsOf(mail: string, rcpts: readonly string[], reset: boolean, pipelining: boolean): readonly Group[] {
  if (pipelining && rcpts.length === 1) {
    const text = `${mail}${rcpts[0]}${DATA}`
    return [reset ? { text: RSET + text, steps: ONE_RECIPIENT_AFTER_RESET } : { text, steps: ONE_RECIPIENT }]
  }
  const commands: Group[] = [
    ...(reset ? [{ text: RSET, steps: ['rset'] as const }] : []),
    { text: mail, steps: ['mail'] },
    ...rcpts.map((text): Group => ({ text, steps: ['rcpt'] })),
  ]
  const data: Group = { text: DATA, steps: ['data'] }
  if (!pipelining) return [...commands, data]
  const text = commands.map((one) => one.text).join('')
  return [{ text, steps: commands.flatMap((one) => one.steps) }, data]
}
