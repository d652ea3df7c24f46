import { systemClock } from '../platform/clock.ts'
import { prepareDatabase } from '../prepare.ts'
import { requireConfig } from './connect.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

/** `fairlead migrate`: brings the tables up to date, as every start does. */
export const command: CliCommand = {
  register(program, terminal) {
    program
      .command('migrate')
      .description('bring the database up to date with this version (every start does so too)')
      .addHelpText(
        'after',
        '\nExample:\n  FAIRLEAD_DATABASE_URL=postgres://fairlead@db.example.com/fairlead npx fairlead migrate',
      )
      .action(async () => {
        const config = requireConfig(terminal.env)
        const { migrated } = await withDatabase(
          config,
          (_db, connection) => prepareDatabase(connection, config, systemClock),
          { create: true },
        )
        terminal.print(
          migrated.length > 0 ? `Migrated: ${migrated.join(', ')}` : 'Nothing to do: the database is up to date',
        )
      })
  },
}
