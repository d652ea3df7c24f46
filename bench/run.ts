/**
 * `npm run bench [name…] [--json] [--profile FOLDER]`: measures, beside a limit measured in the same run. Every
 * benchmark runs in a process of its own, so that none inherits another's memory.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Benchmark, type BenchOptions, type Measure, toJson, toLine } from './measure.ts'

/** Names and what they measure. A new benchmark is a file that exports `run`, and a line here. */
const benchmarks: Record<string, { about: string; load(): Promise<Benchmark> }> = {
  start: { about: 'time from npm start to an answer, memory at rest', load: () => import('./start.ts') },
  api: { about: 'API calls, durable', load: () => import('./api.ts') },
  page: { about: 'the hosted opt-out page', load: () => import('./page.ts') },
  smtp: { about: 'handing ready messages over, beside a socket loop and nodemailer', load: () => import('./smtp.ts') },
  links: { about: 'tokens of tracked links', load: () => import('./links.ts') },
  zephyr: { about: 'rendering, beside Handlebars and LiquidJS', load: () => import('./zephyr.ts') },
  campaign: {
    about: 'campaigns from end to end, beside a socket loop and nodemailer',
    load: () => import('./campaign.ts'),
  },
  sizes: {
    about: 'whole campaigns with 10,000 to 1,000,000 recipients; takes minutes',
    load: () => import('./sizes.ts'),
  },
  beside: { about: 'API calls while a campaign runs, beside the same on their own', load: () => import('./beside.ts') },
  fill: { about: 'writing the recipients of campaigns', load: () => import('./fill.ts') },
  orphans: { about: 'looking for orphans among ten million messages', load: () => import('./orphans.ts') },
  mime: { about: 'writing and signing mail, beside nodemailer', load: () => import('./mime.ts') },
}

if (process.send) await runHere()
else process.exitCode = await runAll()

/** In a child: runs the one benchmark it is told to. */
async function runHere(): Promise<void> {
  const [{ name, options }] = (await once(process, 'message')) as [{ name: string; options: BenchOptions }]
  const { run } = await benchmarks[name]!.load()
  process.send!(await run(options))
  process.disconnect()
}

async function runAll(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean' }, profile: { type: 'string' }, help: { type: 'boolean' } },
  })
  const unknown = positionals.filter((name) => !Object.hasOwn(benchmarks, name))
  if (values.help || unknown.length > 0) {
    if (unknown.length > 0) console.error(`unknown: ${unknown.join(', ')}`)
    console.error('npm run bench -- [name…] [--json] [--profile FOLDER]')
    for (const [name, { about }] of Object.entries(benchmarks)) console.error(`  ${name.padEnd(8)} ${about}`)
    return unknown.length > 0 ? 1 : 0
  }
  const options: BenchOptions = { profile: values.profile ? resolve(values.profile) : null }
  if (!values.json) console.log(`${availableParallelism()} cores, Node ${process.version}`)
  let code = 0
  for (const name of positionals.length > 0 ? positionals : Object.keys(benchmarks)) {
    if (!values.json) console.log(`\n${name}: ${benchmarks[name]!.about}`)
    const measures = await runApart(name, options)
    if (measures === null) code = 1
    for (const measure of measures ?? []) console.log(values.json ? toJson(measure) : toLine(measure))
  }
  return code
}

/** Null when the benchmark failed, which it has said itself. */
async function runApart(name: string, options: BenchOptions): Promise<Measure[] | null> {
  const child = fork(new URL(import.meta.url), [], { execArgv: ['--expose-gc'] })
  let measures: Measure[] | null = null
  child.once('message', (answer: Measure[]) => {
    measures = answer
  })
  child.send({ name, options })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code === 0 ? measures : null
}
