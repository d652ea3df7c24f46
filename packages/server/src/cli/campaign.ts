import type { Command } from 'commander'
import { controlCampaign } from '../campaigns/campaigns.ts'
import { forecast, type LeftOutPerson, listLeftOut } from '../campaigns/left-out.ts'
import { type Campaign, listCampaigns, readCampaign } from '../campaigns/read.ts'
import { countMessages, emptyTotals, type Totals } from '../campaigns/totals.ts'
import { systemClock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { author } from './author.ts'
import { requireConfig } from './connect.ts'
import { minute, tableLines, visible } from './table.ts'
import type { CliCommand, Terminal } from './terminal.ts'
import { withDatabase } from './with-database.ts'

const EVERY = ['created', 'scheduled', 'sending', 'paused', 'sent', 'cancelled'] as const
/** People named by `show --left-out`. */
const NAMED = 1_000

/** `fairlead campaign list|show|pause|resume|cancel`: messages to lists. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program.command('campaign').description('messages to lists: list, show, pause, resume, cancel')

    group
      .command('list')
      .description('list the newest campaigns: status, when they began, and how far they are')
      .option('--json', 'one JSON object a line')
      .option('--limit <n>', 'most shown', '20')
      .addHelpText('after', '\nExample:\n  npx fairlead campaign list')
      .action(async (options: { json?: boolean; limit: string }) => {
        const limit = wholeNumber(options.limit, '--limit')
        await withDatabase(requireConfig(terminal.env), (db) => printList(db, limit, options.json === true, terminal))
      })

    group
      .command('show')
      .argument('<id>', 'number of the campaign')
      .description('show a campaign: what became of its audience, and who was left out and why')
      .option('--left-out [reason]', `name the people who were, or would be, left out; at most ${NAMED}`)
      .option('--json', 'as JSON')
      .addHelpText('after', '\nExample:\n  npx fairlead campaign show 12 --left-out hardbounce')
      .action(async (id: string, options: ShowOptions) => {
        const number = wholeNumber(id, 'the number of a campaign')
        await withDatabase(requireConfig(terminal.env), (db) => show(db, number, options, terminal))
      })

    control(group, terminal, 'pause', 'stop a campaign within a second; "resume" lets it go on')
    control(group, terminal, 'resume', 'let a paused campaign go on')
    control(group, terminal, 'cancel', 'end a campaign: whoever has not got it gets it no more')
  },
}

interface ShowOptions {
  json?: boolean
  leftOut?: true | string
}

const DONE = { pause: 'is paused', resume: 'goes on', cancel: 'is cancelled' } as const

function control(group: Command, terminal: Terminal, what: keyof typeof DONE, description: string): void {
  group
    .command(what)
    .argument('<id>', 'number of the campaign')
    .description(description)
    .addHelpText('after', `\nExample:\n  npx fairlead campaign ${what} 12`)
    .action(async (id: string) => {
      const number = wholeNumber(id, 'the number of a campaign')
      const outcome = await withDatabase(requireConfig(terminal.env), (db) =>
        controlCampaign(db, number, what, author().actor, systemClock.now()),
      )
      if (!outcome.ok && outcome.reason === 'unknown') throw unknown(number)
      if (!outcome.ok) throw new OperatorError(`campaign ${number} cannot be told to ${what} in its present status`)
      terminal.print(`campaign ${number} ${DONE[what]}`)
    })
}

async function printList(db: Database, limit: number, asJson: boolean, terminal: Terminal): Promise<void> {
  const { campaigns } = await listCampaigns(db, { statuses: EVERY, newestFirst: true, limit })
  const totals = await countMessages(
    db,
    campaigns.map(({ id }) => id),
  )
  if (asJson) {
    for (const one of campaigns) terminal.print(JSON.stringify(describe(one, totals.get(one.id) ?? emptyTotals())))
    return
  }
  if (campaigns.length === 0) return terminal.print('No campaigns yet: make one with POST blast')
  const rows = campaigns.map((campaign) => {
    const { recipients, sent, failed, leftOut } = totals.get(campaign.id) ?? emptyTotals()
    const at = campaign.startedAt ?? campaign.scheduledFor
    const counts = [recipients, sent, failed, sum(leftOut)].map(String)
    return [String(campaign.id), visible(campaign.name), campaign.status, at ? minute(at) : '–', ...counts]
  })
  const head = ['ID', 'CAMPAIGN', 'STATUS', 'BEGINS', 'RECIPIENTS', 'SENT', 'FAILED', 'LEFT OUT']
  for (const line of tableLines([head, ...rows], [0, 4, 5, 6, 7])) terminal.print(line)
}

async function show(db: Database, id: number, options: ShowOptions, terminal: Terminal): Promise<void> {
  const campaign = await readCampaign(db, id)
  if (!campaign) throw unknown(id)
  const hasBegun = campaign.startedAt !== null
  const reason = typeof options.leftOut === 'string' ? options.leftOut : null
  const limit = options.leftOut === undefined ? 0 : NAMED
  const totals = (await countMessages(db, [id])).get(id) ?? emptyTotals()
  const expected = hasBegun ? null : await forecast(db, campaign, limit, systemClock.now())
  const people = expected
    ? expected.people.filter((person) => reason === null || person.reason === reason)
    : await listLeftOut(db, id, reason, limit)
  if (options.json) {
    const shown = { ...describe(campaign, totals), ...(expected ? { expected } : {}), left_out_people: people }
    return terminal.print(JSON.stringify(shown))
  }
  terminal.print(`${visible(campaign.name)}: ${campaign.status}`)
  if (campaign.problem)
    terminal.print(`It could not ${campaign.status === 'created' ? 'begin' : 'go on'}: ${campaign.problem}`)
  for (const [label, at] of Object.entries({
    'Scheduled for': campaign.scheduledFor,
    Began: campaign.startedAt,
    Ended: campaign.stoppedAt,
  })) {
    if (at) terminal.print(`${label} ${minute(at)} UTC`)
  }
  if (expected) {
    terminal.print(`Would go to ${expected.recipients} people if it began now`)
    printReasons('Would be left out', expected.leftOut, terminal)
  } else printTotals(totals, terminal)
  printPeople(people, terminal)
}

function printTotals(totals: Totals, terminal: Terminal): void {
  const { recipients, sent, waiting, failed, cancelled, inDoubt } = totals
  terminal.print(
    `${recipients} recipients: ${sent} sent, ${waiting} waiting, ${failed} failed, ${cancelled} cancelled, ${inDoubt} in doubt`,
  )
  printReasons('Left out', totals.leftOut, terminal)
  printReasons('Failed', totals.failures, terminal)
}

function printReasons(title: string, reasons: { [reason: string]: number }, terminal: Terminal): void {
  const sorted = Object.entries(reasons).sort(([, a], [, b]) => b - a)
  if (sorted.length === 0) return
  terminal.print(`${title}:`)
  for (const [reason, n] of sorted) terminal.print(`  ${n} × ${visible(reason)}`)
}

function printPeople(people: readonly LeftOutPerson[], terminal: Terminal): void {
  if (people.length === 0) return
  const rows = people.map(({ address, reason }) => [visible(address) || '(no address)', visible(reason)])
  for (const line of tableLines([['ADDRESS', 'LEFT OUT FOR'], ...rows])) terminal.print(line)
}

function describe(campaign: Campaign, { sentByRevision: _, ...totals }: Totals) {
  const { id, name, status, scheduledFor, startedAt, stoppedAt, problem } = campaign
  return { id, name, status, scheduledFor, startedAt, stoppedAt, problem, ...totals }
}

const sum = (reasons: { [reason: string]: number }) => Object.values(reasons).reduce((total, n) => total + n, 0)

const unknown = (id: number) => new OperatorError(`there is no campaign ${id}: see "fairlead campaign list"`)

function wholeNumber(text: string, what: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new OperatorError(`${text} is not ${what}: give a whole number`)
  return Number(text)
}
