import { hostname } from 'node:os'
import type { Direct } from '../../config.ts'
import { type Finding, note, ok, wrong } from '../finding.ts'
import { NAMES, saysOfItself, type TransactionCheck, transaction } from '../relay-check.ts'
import type { Opening } from '../transport.ts'
import { openHost } from './direct.ts'
import { findHosts, type MxWorld, nameOfHost } from './hosts.ts'

export interface DirectCheck extends TransactionCheck {
  direct: Direct
  world: MxWorld
  opening?: Opening
}

/**
 * Looks at the way without a relay as delivery goes it: to the servers of the recipient's domain, or of the sender's own
 * where there is no recipient.
 */
export async function* checkDirect(check: DirectCheck): AsyncGenerator<Finding> {
  const { direct, world, opening } = check
  yield ourName(direct)
  if (check.dkim.length === 0)
    yield note('DKIM', 'no key, and no relay that could sign: many receivers refuse such mail')
  const recipient = check.to ?? check.from.address
  const domain = recipient.slice(recipient.lastIndexOf('@') + 1)
  const found = await findHosts(domain, world)
  if (!found.ok) {
    const problem = 'refusal' in found ? found.refusal.text : found.problem
    // That nobody takes mail at the sender's own domain does not keep others from getting it.
    return yield check.to ? wrong('MX', problem) : note('MX', `${problem}; --to tries the servers of another domain`)
  }
  yield ok('MX', `${domain}: ${found.hosts.map(nameOfHost).join(', ')}`)
  for (const host of found.hosts) {
    const opened = await openHost(direct, host, world.port, opening)
    if (!opened.ok) {
      yield note(NAMES[opened.stage], `${nameOfHost(host)}: ${opened.problem}`)
      continue
    }
    const { session } = opened
    try {
      yield ok('connection', nameOfHost(host))
      yield* saysOfItself(session.offers, { host: host.name, tls: direct.tls, verify: false }, check.now)
      yield* transaction(session, check, `directly to ${nameOfHost(host)}`)
    } finally {
      session.close()
    }
    return
  }
  yield wrong('connection', `no server of ${domain} can be reached: many networks let nobody out to port 25`)
}

/** Receivers look the name up; many refuse mail from those who have none. */
function ourName({ name }: Direct): Finding {
  const own = name ?? hostname()
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(own)) return ok('name', `${own}, which must lead to this machine and back`)
  return note(
    'name',
    'none, so our address stands in for it, which many receivers refuse: set mx:?name=mail.example.com',
  )
}
