import { createServer } from 'node:net'
import type { Config, Relay } from '../config.ts'
import { countOrphans, nextLook, wholeTable } from '../delivery/orphans.ts'
import { openConnection } from '../delivery/transport.ts'
import { migrations } from '../migrations/index.ts'
import { openDataFolder } from '../platform/data-folder.ts'
import { oneLine } from '../platform/operator-error.ts'
import { pendingMigrations } from '../prepare.ts'
import { requireConfig } from './connect.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

/** One check: what it found, or a thrown error with what is wrong. */
interface Check {
  name: string
  run(): Promise<string>
}

const PATIENCE = 5_000
const NODE_MAJOR = 24

/** `fairlead doctor`: is everything in place? One line a check. */
export const command: CliCommand = {
  register(program, terminal, fail) {
    program
      .command('doctor')
      .description('check this machine and the settings; exit code 1 when something is wrong')
      .addHelpText(
        'after',
        '\nExample:\n  FAIRLEAD_SMTP_URL=smtp://user:password@relay.example.com:587 npx fairlead doctor',
      )
      .option('--thorough', 'read all messages, which may take a while, where otherwise a part has to do')
      .action(async (options: { thorough?: boolean }) => {
        const config = requireConfig(terminal.env)
        for (const check of checks(config, options.thorough === true)) {
          try {
            terminal.print(`✓ ${check.name}: ${await check.run()}`)
          } catch (error) {
            terminal.print(`✗ ${check.name}: ${oneLine(error)}`)
            fail(1)
          }
        }
      })
  },
}

function checks(config: Config, isThorough: boolean): Check[] {
  return [
    { name: 'Node.js', run: async () => nodeVersion() },
    { name: 'data folder', run: async () => openDataFolder(config.dataDir) },
    { name: 'database', run: () => database(config) },
    { name: 'mail queue', run: () => queue(config, isThorough) },
    { name: 'public port', run: () => port(config.host, config.port) },
    { name: 'console port', run: () => port(config.host, config.consolePort) },
    { name: 'public address', run: async () => publicAddress(config) },
    { name: 'outgoing mail', run: () => outgoing(config) },
  ]
}

function nodeVersion(): string {
  const major = Number(process.versions.node.split('.')[0])
  if (major < NODE_MAJOR) throw new Error(`this is ${process.versions.node}; ${NODE_MAJOR} or later is needed`)
  return process.versions.node
}

function database(config: Config): Promise<string> {
  return withDatabase(config, async (db) => {
    const pending = await pendingMigrations(db, migrations)
    if (pending.length > 0)
      throw new Error(`answers, but has migrations to come (${pending.join(', ')}): run "fairlead migrate"`)
    return 'answers and is up to date'
  })
}

/** Every unfinished message waits, or is held by a worker, or is in doubt. */
function queue(config: Config, isThorough: boolean): Promise<string> {
  return withDatabase(config, async (db) => {
    if ((await pendingMigrations(db, migrations)).length > 0) return 'not looked at before the migrations'
    let [orphans, pages, of] = [0, 0, 0]
    for await (const look of isThorough ? wholeTable(db) : [await nextLook(db)]) {
      orphans += await countOrphans(db, look)
      pages += look.pages
      of = look.of
    }
    if (orphans > 0)
      throw new Error(
        `${orphans} messages are held and no worker knows of them; one that runs puts them back by itself`,
      )
    return `every unfinished message is looked after${pages < of ? ` (${pages} of ${of} pages were read)` : ''}`
  })
}

async function port(host: string, number: number): Promise<string> {
  if (await isFairlead(host, number)) return `${number}, Fairlead answers`
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new Error(`${number} on ${host}: ${error.code === 'EADDRINUSE' ? 'in use by another program' : error.code}`),
      )
    })
    server.listen({ host, port: number }, () => server.close(() => resolve(`${number}, free`)))
  })
}

async function isFairlead(host: string, number: number): Promise<boolean> {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  try {
    const answer = await fetch(`http://${name}:${number}/healthz`, { signal: AbortSignal.timeout(PATIENCE) })
    return ((await answer.json()) as { service?: string }).service === 'fairlead'
  } catch {
    return false
  }
}

function publicAddress({ publicUrl, relays, direct }: Config): string {
  const { protocol, hostname } = new URL(publicUrl)
  const local = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
  if ((relays.length > 0 || direct) && local) {
    throw new Error(`${publicUrl} works on this machine only, yet mail goes out to others: set FAIRLEAD_PUBLIC_URL`)
  }
  if (local) return `${publicUrl}, for this machine only`
  return protocol === 'https:'
    ? publicUrl
    : `${publicUrl}, without TLS: links carry people's tokens, so put HTTPS in front`
}

async function outgoing({ relays, direct }: Config): Promise<string> {
  if (direct)
    return 'straight to the servers of each domain (mx:); "fairlead relay test --to ADDRESS" tries those of one'
  if (relays.length === 0) return 'caught here, as FAIRLEAD_SMTP_URL is not set'
  return (await Promise.all(relays.map(tryRelay))).join('; ')
}

async function tryRelay(relay: Relay): Promise<string> {
  const at = `${relay.host}:${relay.port}`
  const timeouts = { connect: PATIENCE, greeting: PATIENCE, tls: PATIENCE, hello: PATIENCE, auth: PATIENCE }
  try {
    // Greeting, EHLO, STARTTLS if offered, and the password if there is one.
    const connection = await openConnection(relay, { timeouts })
    connection.close()
    const { tls } = connection.offers
    if (tls?.distrust) return `${at} answers; its certificate is not checked (verify), and is not good: ${tls.distrust}`
    return `${at} answers${tls ? `, ${tls.protocol}` : ''}`
  } catch (error) {
    throw new Error(`${at}: ${oneLine(error)}`)
  }
}
