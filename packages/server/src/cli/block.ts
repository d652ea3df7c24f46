import { type Block, type BlockKind, block, listBlocks, unblock } from '../consent/blocks.ts'
import { systemClock } from '../platform/clock.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { readPattern } from '../profiles/address-pattern.ts'
import { author } from './author.ts'
import { requireConfig } from './connect.ts'
import { minute, tableLines, visible } from './table.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

const CODES: { [kind in BlockKind]: number } = { blacklist: 31, never: 34 }

/** `fairlead block add|remove|list`: addresses and domains that nothing is sent to. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program
      .command('block')
      .description('addresses and domains that nothing is sent to: add, remove, list')

    group
      .command('add')
      .argument('<address>', 'an address, or a domain for everybody there')
      .requiredOption('--reason <text>', 'why; kept in the audit')
      .option('--never', 'must never be written to (a trap, a legal request): the API answers 34 in place of 31')
      .description('block an address or domain at once, also for mail that waits and for receipts')
      .addHelpText('after', '\nExample:\n  npx fairlead block add ada@example.com --reason "asked by letter" --never')
      .action(async (address: string, options: { reason: string; never?: boolean }) => {
        const pattern = patternOf(address)
        const kind: BlockKind = options.never ? 'never' : 'blacklist'
        const reason = reasonOf(options)
        await withDatabase(requireConfig(terminal.env), (db) =>
          block(db, systemClock, { pattern, kind, reason }, author()),
        )
        terminal.print(`blocked ${pattern}: the API answers ${CODES[kind]}`)
      })

    group
      .command('remove')
      .argument('<address>', 'as "fairlead block list" shows it')
      .requiredOption('--reason <text>', 'why; kept in the audit')
      .description('take a block away; opt-outs and bounces of the address stay')
      .addHelpText('after', '\nExample:\n  npx fairlead block remove example.com --reason "was a typing error"')
      .action(async (address: string, options: { reason: string }) => {
        const pattern = patternOf(address)
        const reason = reasonOf(options)
        const removed = await withDatabase(requireConfig(terminal.env), (db) =>
          unblock(db, systemClock, { pattern, reason }, author()),
        )
        if (!removed) throw new OperatorError(`${pattern} is not blocked: see "fairlead block list"`)
        terminal.print(`${pattern} is no longer blocked`)
      })

    group
      .command('list')
      .description('list what is blocked')
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead block list')
      .action(async (options: { json?: boolean }) => {
        const blocks = await withDatabase(requireConfig(terminal.env), (db) => listBlocks(db))
        if (options.json) for (const one of blocks) terminal.print(JSON.stringify(describe(one)))
        else if (blocks.length === 0) terminal.print('Nothing is blocked')
        else {
          const rows = blocks.map((one) => [
            one.pattern,
            String(CODES[one.kind]),
            minute(one.at),
            visible(one.reason ?? ''),
          ])
          for (const line of tableLines([['BLOCKED', 'CODE', 'SINCE', 'REASON'], ...rows])) terminal.print(line)
        }
      })
  },
}

const describe = ({ pattern, kind, reason, at }: Block) => ({ blocked: pattern, kind, code: CODES[kind], reason, at })

function patternOf(text: string): string {
  const pattern = readPattern(text)
  if (pattern === null) throw new OperatorError(`${text} is neither an email address nor a domain`)
  return pattern
}

function reasonOf({ reason }: { reason: string }): string {
  const trimmed = reason.trim()
  if (trimmed === '') throw new OperatorError('--reason must say why')
  return trimmed
}
