import { readFileSync } from 'node:fs'
import { listPages, type PageType, removePage, savePage } from '../pages/store.ts'
import { systemClock } from '../platform/clock.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { requireConfig } from './connect.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

/** `fairlead page put|list|remove`: hosted pages of the account's own. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program.command('page').description('hosted pages: put, list, remove')

    group
      .command('put')
      .argument('<name>', 'letters, digits and dashes; "optout" replaces the opt-out page')
      .argument('<file>', 'HTML with Zephyr tags')
      .option('--type <type>', 'manage (preference page) or other (thank-you page); default: by the name')
      .option('--redirect <url...>', 'addresses that the field "redirect" of its forms may name')
      .description('save a page; it is checked first and served at once')
      .addHelpText('after', '\nExample:\n  npx fairlead page put optout optout.html')
      .action(async (name: string, file: string, options: { type?: string; redirect?: string[] }) => {
        const html = readPage(file)
        const type = typeOf(options.type ?? (name === 'signup-confirm' ? 'other' : 'manage'))
        const outcome = await withDatabase(requireConfig(terminal.env), (db) =>
          savePage(db, systemClock, { name, type, html, redirects: options.redirect ?? [] }),
        )
        if (!outcome.ok) throw new OperatorError(`${file} was not saved: ${outcome.problems.join('; ')}`)
        for (const warning of outcome.warnings) terminal.print(`warning: ${warning}`)
        terminal.print(`${outcome.created ? 'created' : 'changed'} ${name} (${type})`)
      })

    group
      .command('list')
      .description('list the pages')
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead page list')
      .action(async (options: { json?: boolean }) => {
        for (const page of await withDatabase(requireConfig(terminal.env), (db) => listPages(db))) {
          const { name, type, revision } = page
          const modified = page.modifiedAt.toISOString()
          if (options.json) terminal.print(JSON.stringify({ name, type, revision, modified }))
          else terminal.print([name, type, `revision ${revision}`, modified].join('  '))
        }
      })

    group
      .command('remove')
      .argument('<name>')
      .description('remove a page; the built-in one of that name takes its place')
      .addHelpText('after', '\nExample:\n  npx fairlead page remove optout')
      .action(async (name: string) => {
        const removed = await withDatabase(requireConfig(terminal.env), (db) => removePage(db, name))
        if (!removed) throw new OperatorError(`there is no page ${name}: see "fairlead page list"`)
        terminal.print(`removed ${name}`)
      })
  },
}

function readPage(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new OperatorError(`cannot read ${file}: ${(error as Error).message}`)
  }
}

function typeOf(text: string): PageType {
  if (text === 'manage' || text === 'other') return text
  throw new OperatorError(`--type is manage or other, not ${text}`)
}
