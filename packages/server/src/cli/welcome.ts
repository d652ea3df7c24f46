import { sign } from '../account/signature.ts'
import type { Config } from '../config.ts'
import type { RunningFairlead } from '../supervisor.ts'

/**
 * What a start says when everything is up. The first one shows the secret and a first call to copy; later ones only
 * where things are.
 */
export function welcome(config: Config, running: Pick<RunningFairlead, 'address' | 'account' | 'dataDir'>): string {
  const { account } = running
  // A secret that the operator chose is known already.
  const secretIsNews = account.created && config.account === null
  const facts: Array<[string, string]> = [
    ['API and pages', running.address],
    ['Links point to', config.publicUrl],
    ['Outgoing mail', wayOut(config)],
    ['Data', config.databaseUrl ? 'in the database of FAIRLEAD_DATABASE_URL' : running.dataDir],
    ['API key', account.key],
    ['API secret', secretIsNews ? `${account.secret}   (shown once)` : 'npx fairlead key list --secrets'],
  ]
  const lines = facts
    .filter(([name, value]) => name !== 'Links point to' || value !== running.address)
    .map(([name, value]) => `  ${name.padEnd(16)}${value}`)
  const tour = account.created
    ? [
        '',
        'A first call, opting a person out. README.md shows the ways back in:',
        '',
        firstCall(running.address, account),
      ]
    : []
  return ['', 'Fairlead is ready.', '', ...lines, ...tour, ''].join('\n')
}

function wayOut({ relays, direct }: Config): string {
  if (direct) return 'goes straight to the servers of each domain'
  if (relays.length > 0) return `goes to ${relays.map(({ host, port }) => `${host}:${port}`).join(', ')}`
  return 'is caught here: npx fairlead mail list'
}

/** A signed `POST /user` to copy into a shell. */
function firstCall(address: string, { key, secret }: { key: string; secret: string }): string {
  const json = JSON.stringify({ id: 'ada@example.com', optout_email: 'all' })
  const signature = sign([key, 'json', json], secret)
  return [
    `curl ${address}/user \\`,
    `  --data-urlencode ${quoted(`api_key=${key}`)} -d format=json -d sig=${signature} \\`,
    `  --data-urlencode ${quoted(`json=${json}`)}`,
  ].join('\n')
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
