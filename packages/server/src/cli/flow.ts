import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { type FlowSummary, listFlows, listProblems } from '../flows/counts.ts'
import { deactivateFlow, holdFlow, type Operated, retryBlocked } from '../flows/operate.ts'
import { checkFlow, publishFlow } from '../flows/publish.ts'
import type { Problem } from '../flows/steps/step-type.ts'
import { problemText } from '../flows/validate.ts'
import { createLists } from '../lists/lists.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import { OperatorError, oneLine } from '../platform/operator-error.ts'
import { hasScheduledSends } from '../sends/read.ts'
import { readSettings } from '../settings/settings.ts'
import { HOST_FUNCTIONS } from '../templates/compile.ts'
import { createTemplates } from '../templates/templates.ts'
import { requireConfig } from './connect.ts'
import { tableLines } from './table.ts'
import type { CliCommand, Terminal } from './terminal.ts'
import { withDatabase } from './with-database.ts'

/** `fairlead flow publish|list|hold|release|deactivate|retry`: automations that people go through. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program.command('flow').description('flows: publish, list, hold, release, deactivate, retry')

    group
      .command('publish')
      .argument('<file>', 'a flow as JSON, see docs/flows.md')
      .description('check a flow and put it in force, as the next version of the flow with its name')
      .option('--check', 'only say what is wrong with it')
      .addHelpText('after', '\nExample:\n  npx fairlead flow publish docs/examples/back-by-joining.json')
      .action(async (file: string, options: { check?: boolean }) => {
        const candidate = await readJson(file)
        await withDatabase(requireConfig(terminal.env), (db) => publish(db, file, candidate, !!options.check, terminal))
      })

    group
      .command('list')
      .description('list the flows: state, version, and how many people entered, are inside, ended, were turned away')
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead flow list')
      .action(async (options: { json?: boolean }) => {
        await withDatabase(requireConfig(terminal.env), async (db) => {
          const flows = await listFlows(db)
          if (options.json) for (const flow of flows) terminal.print(JSON.stringify(flow))
          else await printFlows(db, flows, terminal)
        })
      })

    operation(group, terminal, {
      name: 'hold',
      description: 'stop everybody where they are; people still enter, and all goes on after "release"',
      run: (db, clock, name) => holdFlow(db, clock, name, true),
      told: (name) => `${name} is held`,
    })
    operation(group, terminal, {
      name: 'release',
      description: 'let a held flow go on',
      run: (db, clock, name) => holdFlow(db, clock, name, false),
      told: (name) => `${name} goes on`,
    })
    operation(group, terminal, {
      name: 'deactivate',
      description: 'switch a flow off: nobody enters, everybody inside leaves at once',
      run: deactivateFlow,
      told: (name, runs) => `${name} is off; ${runs} in progress left it`,
    })
    operation(group, terminal, {
      name: 'retry',
      description: 'let those go on who were held up by something that is put right now',
      run: retryBlocked,
      told: (name, runs) => `${runs} in ${name} try again`,
    })
  },
}

interface Operation {
  name: string
  description: string
  run(db: Database, clock: Clock, name: string): Promise<Operated>
  told(name: string, runs: number): string
}

function operation(group: Command, terminal: Terminal, { name, description, run, told }: Operation): void {
  group
    .command(name)
    .argument('<name>', 'name of the flow')
    .description(description)
    .addHelpText('after', `\nExample:\n  npx fairlead flow ${name} "Back by joining"`)
    .action(async (flow: string) => {
      const outcome = await withDatabase(requireConfig(terminal.env), (db) => run(db, systemClock, flow))
      if (!outcome.ok) throw new OperatorError(`there is no flow "${flow}": see "fairlead flow list"`)
      terminal.print(told(flow, outcome.runs))
    })
}

async function readJson(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((error) => {
    throw new OperatorError(`${file} cannot be read: ${oneLine(error)}`)
  })
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch (error) {
    throw new OperatorError(`${file} is not JSON: ${oneLine(error)}`)
  }
}

async function publish(db: Database, file: string, candidate: unknown, onlyCheck: boolean, terminal: Terminal) {
  const clock = systemClock
  const references = {
    lists: createLists({ db, clock }),
    templates: createTemplates({ db, clock, hostFunctions: HOST_FUNCTIONS, isInUse: hasScheduledSends }),
  }
  const parts = { db, clock, references, settings: await readSettings(db) }
  const complain = (problems: readonly Problem[]) => {
    for (const problem of problems) terminal.complain(`${problem.severity}: ${problemText(problem)}`)
  }
  if (onlyCheck) {
    const reviewed = await checkFlow(parts, candidate)
    complain(reviewed.problems)
    if (!reviewed.ok) throw new OperatorError(`${file} cannot be published${count(reviewed.problems)}`)
    return terminal.print(`${file} can be published as "${reviewed.definition.name}"`)
  }
  const published = await publishFlow(parts, candidate)
  if (!published.ok) {
    complain(published.problems)
    throw new OperatorError(`${file} was not published${count(published.problems)}`)
  }
  complain(published.warnings)
  const { version, isNew } = published
  terminal.print(
    isNew
      ? `Published version ${version} of "${nameOf(candidate)}"`
      : `Version ${version} of "${nameOf(candidate)}" is in force already`,
  )
}

const nameOf = (candidate: unknown) => (candidate as { name: string }).name

function count(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === 'error').length
  return errors === 1 ? ': one thing is wrong, see above' : `: ${errors} things are wrong, see above`
}

async function printFlows(db: Database, flows: readonly FlowSummary[], terminal: Terminal): Promise<void> {
  if (flows.length === 0) return terminal.print('No flows yet: publish one with "fairlead flow publish FILE"')
  const rows = flows.map((flow) => [
    flow.name,
    flow.isHeld ? `${flow.status}, held` : flow.status,
    flow.version === null ? '–' : `v${flow.version}`,
    ...[flow.entered, flow.inProgress, flow.ended, flow.refused].map(String),
  ])
  const table = [['Flow', 'Status', 'Version', 'Entered', 'In progress', 'Ended', 'Refused'], ...rows]
  for (const line of tableLines(table, [2, 3, 4, 5, 6])) terminal.print(line)
  for (const { id, name, blocked } of flows) {
    if (blocked === 0) continue
    terminal.print(`\n${name} needs attention (${blocked} held up; "fairlead flow retry" when it is put right):`)
    for (const { problem, runs } of await listProblems(db, id)) terminal.print(`  ${runs} × ${problem}`)
  }
}
