import { listAudit } from '../account/audit.ts'
import { wholeNumber } from './arguments.ts'
import { requireConfig } from './connect.ts'
import { minute, tableLines, visible } from './table.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

/** `fairlead audit list`: who changed whom the account may write to. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program.command('audit').description('who decided about templates, blocks and settings: list')

    group
      .command('list')
      .description('list the decisions, newest first')
      .option('--limit <number>', 'at most so many', wholeNumber, 50)
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead audit list --limit 10')
      .action(async (options: { limit: number; json?: boolean }) => {
        const entries = await withDatabase(requireConfig(terminal.env), (db) => listAudit(db, options.limit))
        if (options.json) for (const entry of entries) terminal.print(JSON.stringify(entry))
        else if (entries.length === 0) terminal.print('Nobody has decided anything yet')
        else {
          const rows = entries.map((entry) =>
            [
              minute(entry.at),
              `${entry.via} ${entry.actor ?? ''}`,
              entry.action,
              entry.subject,
              `${entry.from ?? '–'} → ${entry.to ?? '–'}`,
              entry.reason ?? '',
            ].map(visible),
          )
          for (const line of tableLines([['AT', 'BY', 'WHAT', 'OF', 'CHANGE', 'REASON'], ...rows])) terminal.print(line)
        }
      })
  },
}
