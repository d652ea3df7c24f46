import { domainToASCII } from 'node:url'
import type { Command } from 'commander'
import { InvalidArgumentError, Option } from 'commander'
import { type DepthRow, readDepth } from '../delivery/depth.ts'
import { type HoldTarget, hold, listHolds, release } from '../delivery/holds.ts'
import { countInDoubt, type Resolution, resolveInDoubt } from '../delivery/in-doubt.ts'
import { LISTED, type Listed, listMessages } from '../delivery/list.ts'
import { countOrphans, nextLook } from '../delivery/orphans.ts'
import { countDeferred, retryDeferred, type Selection } from '../delivery/requeue.ts'
import { systemClock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { readPattern } from '../profiles/address-pattern.ts'
import { findTemplateId, templateNames } from '../templates/names.ts'
import { wholeNumber } from './arguments.ts'
import { author } from './author.ts'
import { requireConfig } from './connect.ts'
import { minute, tableLines, visible } from './table.ts'
import type { CliCommand, Terminal } from './terminal.ts'
import { withDatabase } from './with-database.ts'

const RESOLUTIONS: readonly Resolution[] = ['queued', 'sent', 'failed']

/** `fairlead queue status|list|retry|hold|release`: mail that waits. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program.command('queue').description('mail that waits: status, list, retry, hold, release')
    status(group, terminal)
    list(group, terminal)
    retry(group, terminal)
    holding(group, terminal)
    releasing(group, terminal)
  },
}

function status(group: Command, terminal: Terminal): void {
  group
    .command('status')
    .description('how many messages wait and since when, what is in doubt, what is held')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  npx fairlead queue status')
    .action(async (options: { json?: boolean }) => {
      await withDatabase(requireConfig(terminal.env), async (db) => {
        const now = systemClock.now()
        const [messages, inDoubt, holds, orphans] = await Promise.all([
          readDepth(db, now),
          countInDoubt(db),
          describeHolds(db),
          nextLook(db).then((look) => countOrphans(db, look)),
        ])
        if (options.json) return terminal.print(JSON.stringify({ messages, inDoubt, holds, orphans }))
        for (const line of depthLines(messages, now)) terminal.print(line)
        for (const { campaignId, name, count } of inDoubt) {
          terminal.print(
            `In doubt: ${counted(count)} of campaign ${campaignId} (${visible(name)}): see "fairlead queue release --help"`,
          )
        }
        for (const { target, reason, at } of holds) {
          terminal.print(`Held since ${minute(at)}: ${target}${reason ? ` (${visible(reason)})` : ''}`)
        }
        if (orphans > 0)
          terminal.print(`${orphans} messages are held and no worker knows of them; one that runs puts them back`)
      })
    })
}

function depthLines(rows: readonly DepthRow[], now: Date): string[] {
  if (rows.length === 0) return ['Nothing waits']
  const age = ({ standing, oldest }: DepthRow) =>
    standing === 'scheduled' ? `from ${minute(oldest)}` : duration(now.getTime() - oldest.getTime())
  const table = rows.map((row) => [row.standing, row.kind, String(row.count), age(row)])
  return tableLines([['STATE', 'KIND', 'MESSAGES', 'OLDEST'], ...table], [2])
}

function list(group: Command, terminal: Terminal): void {
  selecting(
    group
      .command('list')
      .description('list messages that wait, those that are due first, with what a mail server said last')
      .addOption(new Option('--state <state>', 'only in this state').choices(LISTED))
      .option('--limit <number>', 'at most so many', wholeNumber, 50)
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead queue list --state deferred --domain example.com'),
  ).action(async (options: SelectionOptions & { state?: Listed; limit: number; json?: boolean }) => {
    await withDatabase(requireConfig(terminal.env), async (db) => {
      const selection = await selectionOf(db, options)
      const messages = await listMessages(db, options.state ?? null, selection, options.limit)
      if (options.json) for (const message of messages) terminal.print(JSON.stringify(message))
      else if (messages.length === 0) terminal.print('Nothing waits')
      else {
        const rows = messages.map((one) => [
          String(one.id),
          one.reason === 'held' ? 'held' : one.state,
          one.address,
          visible(one.content),
          String(one.attempts),
          one.dueAt ? minute(one.dueAt) : '–',
          visible(one.reply ?? ''),
        ])
        const head = ['MESSAGE', 'STATE', 'TO', 'TEMPLATE', 'ATTEMPTS', 'DUE', 'REPLY']
        for (const line of tableLines([head, ...rows], [0, 4])) terminal.print(line)
      }
    })
  })
}

function retry(group: Command, terminal: Terminal): void {
  selecting(
    group
      .command('retry')
      .description('try deferred messages now; says how many there are, and does it with --yes')
      .option('--all', 'all of them')
      .option('--yes', 'do it')
      .addHelpText('after', '\nExample:\n  npx fairlead queue retry --domain example.com --yes'),
  ).action(async (options: SelectionOptions & { all?: boolean; yes?: boolean }) => {
    requireOneWay(options, '--all')
    await withDatabase(requireConfig(terminal.env), async (db) => {
      const selection = await selectionOf(db, options)
      const now = systemClock.now()
      if (options.yes) return terminal.print(`tried now: ${counted(await retryDeferred(db, selection, now))}`)
      const count = await countDeferred(db, selection, now)
      terminal.print(`${counted(count)} would be tried now${count > 0 ? ': say --yes to do it' : ''}`)
    })
  })
}

interface HoldOptions {
  domain?: string
  template?: string
  everything?: boolean
}

function holding(group: Command, terminal: Terminal): void {
  targeting(
    group
      .command('hold')
      .description('stop mail in an emergency; what is held is kept, and goes out after "release"')
      .requiredOption('--reason <text>', 'why; kept in the audit')
      .addHelpText('after', '\nExample:\n  npx fairlead queue hold --template News --reason "wrong price"'),
  ).action(async (options: HoldOptions & { reason: string }) => {
    if (options.reason.trim() === '') throw new OperatorError('--reason must say why')
    await withDatabase(requireConfig(terminal.env), async (db) => {
      const target = await targetOf(db, options)
      await hold(db, systemClock, target, options.reason.trim(), author())
      terminal.print(`held: ${described(options)}; what is on its way to the relay this very moment still goes out`)
    })
  })
}

interface ReleaseOptions extends HoldOptions {
  inDoubt?: boolean
  campaign?: number
  as?: Resolution
  reason?: string
  yes?: boolean
}

function releasing(group: Command, terminal: Terminal): void {
  targeting(
    group
      .command('release')
      .description('send what was held; or, with --in-doubt, say what became of messages that a crash left in doubt')
      .option('--in-doubt', 'of a campaign, messages of which nobody knows whether they arrived')
      .option('--campaign <number>', 'of which campaign', wholeNumber)
      .addOption(
        new Option('--as <state>', 'queued: send once more, to some perhaps twice; sent or failed: as you know it was')
          .choices([...RESOLUTIONS])
          .implies({ inDoubt: true }),
      )
      .option('--reason <text>', 'why; kept in the audit')
      .option('--yes', 'with --in-doubt: do it')
      .addHelpText(
        'after',
        '\nExamples:\n  npx fairlead queue release --template News\n' +
          '  npx fairlead queue release --in-doubt --campaign 12 --as sent --yes',
      ),
  ).action(async (options: ReleaseOptions) => {
    const reason = options.reason?.trim() || null
    await withDatabase(requireConfig(terminal.env), (db) =>
      options.inDoubt ? endDoubt(db, options, reason, terminal) : endHold(db, options, reason, terminal),
    )
  })
}

async function endHold(
  db: Database,
  options: ReleaseOptions,
  reason: string | null,
  terminal: Terminal,
): Promise<void> {
  const released = await release(db, systemClock, await targetOf(db, options), reason, author())
  if (released === null) throw new OperatorError(`${described(options)} is not held: see "fairlead queue status"`)
  terminal.print(`no longer held: ${described(options)}; sent now: ${counted(released)}`)
}

async function endDoubt(
  db: Database,
  { campaign, as, yes }: ReleaseOptions,
  reason: string | null,
  terminal: Terminal,
): Promise<void> {
  if (campaign === undefined) throw new OperatorError('--in-doubt needs --campaign: see "fairlead queue status"')
  const [found] = await countInDoubt(db, campaign)
  if (!found) throw new OperatorError(`campaign ${campaign} has no messages in doubt: see "fairlead queue status"`)
  if (as === 'queued' && found.status === 'cancelled') {
    throw new OperatorError(`campaign ${campaign} was cancelled: its messages can only be called sent or failed`)
  }
  if (!as || !yes) {
    const missing = [...(as ? [] : [`--as ${RESOLUTIONS.join('|')}`]), ...(yes ? [] : ['--yes'])].join(' and ')
    return terminal.print(`${counted(found.count)} of campaign ${campaign} in doubt: say ${missing} to decide`)
  }
  const count = await resolveInDoubt(db, systemClock, campaign, as, reason, author())
  terminal.print(`no longer in doubt: ${counted(count)} of campaign ${campaign}, now ${as}`)
}

interface SelectionOptions {
  domain?: string
  template?: string
  campaign?: number
}

function selecting(command: Command): Command {
  return command
    .option('--domain <domain>', 'only to addresses there', readDomain)
    .option('--template <name>', 'only of this template')
    .option('--campaign <number>', 'only of this campaign', wholeNumber)
}

function targeting(command: Command): Command {
  return command
    .option('--domain <domain>', 'mail to addresses there', readDomain)
    .option('--template <name>', 'mail of this template')
    .option('--everything', 'all mail')
}

async function selectionOf(db: Database, { domain, template, campaign }: SelectionOptions): Promise<Selection> {
  return {
    ...(domain !== undefined && { domain }),
    ...(template !== undefined && { templateId: await requireTemplate(db, template) }),
    ...(campaign !== undefined && { campaignId: campaign }),
  }
}

function requireOneWay({ all, ...options }: SelectionOptions & { all?: boolean }, whole: string): void {
  const isNarrow = options.domain !== undefined || options.template !== undefined || options.campaign !== undefined
  if (isNarrow === !!all) throw new OperatorError(`say either ${whole} or which: --domain, --template, --campaign`)
}

async function targetOf(db: Database, { domain, template, everything }: HoldOptions): Promise<HoldTarget> {
  const given = [domain, template, everything].filter((one) => one !== undefined)
  if (given.length !== 1) throw new OperatorError('say one of --domain, --template and --everything')
  if (domain !== undefined) return { kind: 'domain', domain }
  if (template !== undefined) return { kind: 'template', templateId: await requireTemplate(db, template) }
  return { kind: 'everything' }
}

function described({ domain, template }: HoldOptions): string {
  if (domain !== undefined) return `mail to ${domain}`
  return template === undefined ? 'all mail' : `mail of template ${visible(template)}`
}

async function requireTemplate(db: Database, name: string): Promise<number> {
  const id = await findTemplateId(db, name)
  if (id === null) throw new OperatorError(`there is no template ${visible(name)}`)
  return id
}

function readDomain(text: string): string {
  const pattern = readPattern(text)
  if (pattern === null || !pattern.startsWith('@')) throw new InvalidArgumentError('It is a domain: example.com.')
  return domainToASCII(pattern.slice(1))
}

async function describeHolds(db: Database): Promise<Array<{ target: string; reason: string | null; at: Date }>> {
  const holds = await listHolds(db)
  const names = await templateNames(
    db,
    holds.filter(({ kind }) => kind === 'template').map(({ value }) => Number(value)),
  )
  return holds.map(({ kind, value, reason, at }) => {
    if (kind === 'everything') return { target: 'all mail', reason, at }
    if (kind === 'domain') return { target: `mail to ${value}`, reason, at }
    return { target: `mail of template ${visible(names.get(Number(value)) ?? value)}`, reason, at }
  })
}

const counted = (count: number) => (count === 1 ? 'one message' : `${count} messages`)

/** `45 s`, `12 min`, `3 h`, `4 days` */
function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1_000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`
}
