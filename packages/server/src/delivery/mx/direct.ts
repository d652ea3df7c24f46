import type { Direct } from '../../config.ts'
import { asciiDomain } from '../mime/domain.ts'
import { isFarewell } from '../outcome.ts'
import { NO_OFFERS, openSmtp, type SmtpOpened, type SmtpOptions, type SmtpSession } from '../smtp/open.ts'
import { broken, type TransmitOutcome } from '../smtp/outcome.ts'
import { type Connection, GREETING, type Opening, type Source, type Transmittable } from '../transport.ts'
import { findHosts, type MxHost, type MxWorld, nameOfHost } from './hosts.ts'

/** Domains whose servers could not be reached are left alone for this long, in ms; the messages wait longer. */
const REST = 20_000
/** Domains remembered so, at most. */
const MOST_RESTING = 10_000

/** What kept a domain's mail from being handed over, and until when nobody asks again. */
type Resting = Map<string, { problem: string; until: number }>

/**
 * Mail without a relay: each message goes to the servers of its recipients' domains. To the lanes this looks like a
 * relay that is always up; a domain that cannot be reached is the trouble of its own messages.
 *
 * @param time milliseconds of a clock that only runs forward
 */
export function directSource(direct: Direct, world: MxWorld, time: () => number = () => performance.now()): Source {
  const resting: Resting = new Map()

  function rest(domain: string, problem: string): TransmitOutcome {
    resting.delete(domain)
    resting.set(domain, { problem, until: time() + REST })
    if (resting.size > MOST_RESTING) resting.delete(resting.keys().next().value!)
    return broken('mail', problem)
  }

  /** Goes through the domain's servers until one is ready for mail. */
  async function reach(domain: string, opening: Opening): Promise<SmtpSession | TransmitOutcome> {
    const known = resting.get(domain)
    if (known && known.until > time()) return broken('mail', known.problem)
    const found = await findHosts(domain, world)
    if (!found.ok) return 'refusal' in found ? { kind: 'refused', reply: found.refusal } : rest(domain, found.problem)
    const problems: string[] = []
    for (const host of found.hosts) {
      if (opening.signal?.aborted) return broken('mail', 'given up')
      const opened = await openHost(direct, host, world.port, opening)
      if (opened.ok) {
        resting.delete(domain)
        return opened.session
      }
      problems.push(`${nameOfHost(host)}: ${opened.problem}`)
    }
    if (opening.signal?.aborted) return broken('mail', 'given up')
    return rest(domain, `no server of ${domain} takes mail now: ${problems.join('; ')}`)
  }

  return {
    name: 'the servers of each domain (MX)',
    weight: 1,
    warning: null,
    open: async (opening) => connectDirectly((domain, signal) => reach(domain, { ...opening, signal })),
  }
}

/** One lane's way: a session with the servers of one domain at a time. */
function connectDirectly(
  reach: (domain: string, signal: AbortSignal) => Promise<SmtpSession | TransmitOutcome>,
): Connection {
  const closing = new AbortController()
  const givenUp = new Promise<void>((resolve) => closing.signal.addEventListener('abort', () => resolve()))
  let current: { domain: string; session: SmtpSession; carried: number } | null = null

  async function sessionFor(domain: string): Promise<TransmitOutcome | null> {
    if (current?.domain === domain && current.session.isUsable()) return null
    current?.session.close()
    current = null
    const reaching = reach(domain, closing.signal)
    // The DNS may take longer to answer than anybody waits at a stop.
    const reached = await Promise.race([reaching, givenUp])
    if (!reached || closing.signal.aborted) {
      void reaching.then((late) => 'kind' in late || late.close())
      return broken('mail', 'given up')
    }
    if ('kind' in reached) return reached
    current = { domain, session: reached, carried: 0 }
    return null
  }

  async function hand(
    domain: string,
    to: readonly string[],
    message: Transmittable,
    meanwhile?: () => void,
  ): Promise<TransmitOutcome> {
    for (;;) {
      const problem = await sessionFor(domain)
      if (problem) return problem
      const mine = current!
      const envelope = { ...message.envelope, to }
      const outcome = await mine.session.transmit(envelope, message.raw, message.traits, meanwhile)
      mine.carried += 1
      // Servers that have had enough of a connection are met again over another; a new one that ends so counts.
      if (mine.carried === 1 || mine.session.isUsable() || !isFarewell(outcome)) return outcome
      if (closing.signal.aborted) return outcome
    }
  }

  return {
    // A message may go to servers of several domains, so it is written for those that can take least.
    offers: NO_OFFERS,
    async transmit(message, meanwhile) {
      const [own, ...others] = byDomain(message.envelope.to)
      if (!own) return { kind: 'unsendable', problem: 'a message without recipients' }
      const outcome = await hand(...own, message, meanwhile)
      // As over a relay: copies alone are worth sending when the person is refused for good; else they wait for a yes.
      const isNever = outcome.kind === 'refused' && outcome.reply.phase === 'rcpt' && outcome.reply.code >= 500
      if (outcome.kind === 'accepted' || isNever) for (const copies of others) await hand(...copies, message)
      return outcome
    },
    isUsable: () => !closing.signal.aborted,
    close() {
      closing.abort()
      current?.session.close()
    },
  }
}

/** Recipients by domain, the person's own first. */
function byDomain(recipients: readonly string[]): Array<[domain: string, to: string[]]> {
  const groups = new Map<string, string[]>()
  for (const recipient of recipients) {
    const domain = asciiDomain(recipient.slice(recipient.lastIndexOf('@') + 1)).toLowerCase()
    const group = groups.get(domain)
    if (group) group.push(recipient)
    else groups.set(domain, [recipient])
  }
  return [...groups]
}

/**
 * Opens a session with one server. TLS is taken where it is offered and believed without a certificate (RFC 7435): who
 * the server is was told by the DNS, which nobody signed, and mail in the clear would be worse. A server that offers
 * TLS and cannot do it gets its mail in the clear then, unless the settings say otherwise.
 */
export async function openHost(
  { name, tls }: Direct,
  host: MxHost,
  port: number,
  opening: Opening = {},
): Promise<SmtpOpened> {
  const options: SmtpOptions = {
    host: host.name,
    address: host.address,
    port,
    tls,
    verify: false,
    credentials: null,
    mechanism: null,
    name,
    ...opening,
    timeouts: { greeting: GREETING, ...opening.timeouts },
  }
  const opened = await openSmtp(options)
  if (opened.ok || opened.stage !== 'tls' || tls !== 'opportunistic' || opening.signal?.aborted) return opened
  return openSmtp({ ...options, tls: 'off' })
}
