import { createKey, listKeys, revokeKey } from '../account/keys.ts'
import { systemClock } from '../platform/clock.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { requireConfig } from './connect.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

/** `fairlead key create|list|revoke`: the key pairs that programs sign their requests with. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program.command('key').description('API keys: create, list, revoke')

    group
      .command('create')
      .description('create a key pair and print it')
      .addHelpText('after', '\nExample:\n  npx fairlead key create')
      .action(async () => {
        const pair = await withDatabase(requireConfig(terminal.env), (db) => createKey(db, systemClock))
        terminal.print(`key     ${pair.key}\nsecret  ${pair.secret}`)
      })

    group
      .command('list')
      .description('list the keys, oldest first')
      .option('--secrets', 'show the secrets too')
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead key list --secrets')
      .action(async (options: { secrets?: boolean; json?: boolean }) => {
        const keys = await withDatabase(requireConfig(terminal.env), (db) => listKeys(db))
        for (const { key, secret, created_at } of keys) {
          const created = created_at.toISOString()
          if (options.json) terminal.print(JSON.stringify({ key, ...(options.secrets ? { secret } : {}), created }))
          else terminal.print([key, ...(options.secrets ? [secret] : []), created].join('  '))
        }
      })

    group
      .command('revoke')
      .argument('<key>', 'the key, not its secret')
      .description('revoke a key: requests signed with it are refused from now on')
      .addHelpText('after', '\nExample:\n  npx fairlead key revoke 0123456789abcdef0123456789abcdef')
      .action(async (wanted: string) => {
        const revoked = await withDatabase(requireConfig(terminal.env), (db) => revokeKey(db, wanted))
        if (!revoked) throw new OperatorError(`there is no key ${wanted}: see "fairlead key list"`)
        terminal.print(`revoked ${wanted}`)
      })
  },
}
