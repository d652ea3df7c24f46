import { OperatorError } from '../platform/operator-error.ts'
import { listSetAside, retrySetAside } from '../signals/set-aside.ts'
import { wholeNumber } from './arguments.ts'
import { requireConfig } from './connect.ts'
import { minute, tableLines } from './table.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

/** `fairlead signal list|retry`: facts whose consequences failed ten times. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program
      .command('signal')
      .description('facts that flows and postbacks could not react to and that were set aside: list, retry')

    group
      .command('list')
      .description('list what was set aside, oldest first; the log says why, under the same number')
      .option('--limit <number>', 'at most so many', wholeNumber, 50)
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead signal list')
      .action(async (options: { limit: number; json?: boolean }) => {
        const signals = await withDatabase(requireConfig(terminal.env), (db) => listSetAside(db, options.limit))
        if (options.json) for (const signal of signals) terminal.print(JSON.stringify(signal))
        else if (signals.length === 0) terminal.print('Nothing was set aside')
        else {
          const rows = signals.map(({ id, type, profileId, occurredAt, attempts }) => {
            return [String(id), type, String(profileId), minute(occurredAt), String(attempts)]
          })
          const table = [['SIGNAL', 'TYPE', 'PERSON', 'HAPPENED', 'ATTEMPTS'], ...rows]
          for (const line of tableLines(table, [0, 2, 4])) terminal.print(line)
        }
      })

    group
      .command('retry')
      .argument('[id]', 'number in "fairlead signal list"; all of them when left out', wholeNumber)
      .description('try again what was set aside, when what stood in the way is put right')
      .addHelpText('after', '\nExample:\n  npx fairlead signal retry')
      .action(async (id: number | undefined) => {
        const signals = await withDatabase(requireConfig(terminal.env), (db) => retrySetAside(db, id ?? null))
        if (id !== undefined && signals === 0) {
          throw new OperatorError(`signal ${id} was not set aside: see "fairlead signal list"`)
        }
        terminal.print(signals === 1 ? 'one signal is tried again' : `${signals} signals are tried again`)
      })
  },
}
