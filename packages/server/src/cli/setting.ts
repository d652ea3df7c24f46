import { systemClock } from '../platform/clock.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { changeSetting, DEFAULTS, readSettings, type Settings } from '../settings/settings.ts'
import { author } from './author.ts'
import { requireConfig } from './connect.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

/** `fairlead setting list|set`: how the account works. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program.command('setting').description('settings of the account: list, set')

    group
      .command('list')
      .description('list the settings and their values')
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead setting list')
      .action(async (options: { json?: boolean }) => {
        const settings = await withDatabase(requireConfig(terminal.env), (db) => readSettings(db))
        const names = Object.keys(DEFAULTS) as Array<keyof Settings>
        const widest = Math.max(...names.map((name) => name.length))
        for (const name of names) {
          const value = settings[name]
          if (options.json) terminal.print(JSON.stringify({ name, value, default: DEFAULTS[name] }))
          else
            terminal.print(
              `${name.padEnd(widest)}  ${value === DEFAULTS[name] ? value : `${value}  (changed)`}`.trimEnd(),
            )
        }
      })

    group
      .command('set')
      .argument('<name>', 'as "fairlead setting list" shows it')
      .argument('<value>', 'true or false, a number, or a text; "" empties it')
      .description('change a setting; processes that run notice within seconds')
      .addHelpText('after', '\nExample:\n  npx fairlead setting set timezone Europe/Lisbon')
      .action(async (name: string, value: string) => {
        const problem = await withDatabase(requireConfig(terminal.env), (db) =>
          changeSetting(db, systemClock, name, value, author()),
        )
        if (problem !== null) throw new OperatorError(problem)
        terminal.print(`${name} is now ${value === '' ? 'empty' : value}`)
      })
  },
}
