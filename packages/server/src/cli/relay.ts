import { Resolver } from 'node:dns/promises'
import { styleText } from 'node:util'
import { checkDkim, type ResolveTxt } from '../delivery/dkim/check.ts'
import { dkimKeysOf } from '../delivery/dkim/key.ts'
import type { Finding } from '../delivery/finding.ts'
import { checkDirect } from '../delivery/mx/check.ts'
import { internet } from '../delivery/mx/hosts.ts'
import { checkRelay } from '../delivery/relay-check.ts'
import { systemClock } from '../platform/clock.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { parseAddress } from '../profiles/address.ts'
import { requireConfig } from './connect.ts'
import { visible } from './table.ts'
import type { CliCommand } from './terminal.ts'

/** A person waits for the answer, so no step of the connection may take longer, in ms. */
const PATIENCE = 20_000
const TIMEOUTS = { connect: PATIENCE, greeting: PATIENCE, tls: PATIENCE, hello: PATIENCE, auth: PATIENCE }

const WORDS = { ok: 'ok   ', note: 'note ', wrong: 'WRONG' }
const COLOURS = { ok: 'green', note: 'yellow', wrong: 'red' } as const

/** `fairlead relay test`: is the relay of FAIRLEAD_SMTP_URL in order? */
export const command: CliCommand = {
  register(program, terminal, fail) {
    program
      .command('relay')
      .description('the mail servers that mail goes out through: test')
      .command('test')
      .description('what each relay offers, whether TLS, sign-in, sender and DKIM are in order; exit code 1 if not')
      .option('--to <address>', 'also send one real message there')
      .addHelpText(
        'after',
        '\nExample:\n' +
          '  FAIRLEAD_SMTP_URL=smtp://user:password@relay.example.com npx fairlead relay test --to ada@example.com',
      )
      .action(async (options: { to?: string }) => {
        const { relays, direct, from, ...config } = requireConfig(terminal.env)
        const dkim = dkimKeysOf(config.dkim)
        const to = options.to === undefined ? null : readAddress(options.to)
        if (relays.length === 0 && !direct) {
          return terminal.print('FAIRLEAD_SMTP_URL is not set: mail is caught here, see "fairlead mail list"')
        }
        const say = ({ verdict, about, text }: Finding) => {
          const word = styleText(COLOURS[verdict], WORDS[verdict], { stream: process.stdout, validateStream: true })
          terminal.print(`${word}  ${about}: ${visible(text)}`)
          if (verdict === 'wrong') fail(1)
        }
        const now = systemClock.now()
        const check = { from, to, dkim, now, opening: { timeouts: TIMEOUTS } }
        for (const relay of relays) {
          terminal.print(`${relay.host}:${relay.port}`)
          for await (const finding of checkRelay({ ...check, relay })) say(finding)
        }
        if (direct) {
          terminal.print('without a relay, to the servers of each domain (mx:)')
          for await (const finding of checkDirect({ ...check, direct, world: internet() })) say(finding)
        }
        // Without a relay that was said above.
        if (direct && dkim.length === 0) return
        for (const finding of await checkDkim(dkim, from.address, askDns())) say(finding)
      })
  },
}

function readAddress(text: string): string {
  const address = parseAddress(text)
  if (!address) throw new OperatorError(`${text} is not an email address`)
  return address.display
}

/** Asks soon and not for long: where there is no DNS, the rest is worth knowing all the same. */
function askDns(): ResolveTxt {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  return (name) => resolver.resolveTxt(name)
}
