import { openDatabase } from '../packages/server/src/platform/database.ts'
import { locateEmbedded } from '../packages/server/src/platform/postgres/index.ts'
import { type Course, follow } from './course.ts'
import { addPeople } from './fill.ts'
import { type BenchOptions, type Measure, median } from './measure.ts'
import type { Part } from './processes.ts'
import { startSending } from './servers.ts'
import { startSink } from './sink.ts'

const SIZES = [10_000, 100_000, 1_000_000]
const CONNECTIONS = 10
/** What is over in seconds is done more than once. */
const ROUNDS_OF_SMALLEST = 3
/** A message of a large campaign may cost so many times what one of the smallest does, and is called the same. */
const FLAT = { atMost: 1.25 }

/**
 * Whole campaigns of three sizes, from being scheduled until the API calls them sent: a message must not cost more
 * because there are many, the first must not wait for the last, and a large campaign must stop when it is told to.
 *
 * @param sizes people on the lists, the smallest first; one in ten opted out
 */
export async function run(options: BenchOptions = { profile: null }, sizes = SIZES): Promise<Measure[]> {
  const sink = await startSink()
  const fairlead = await startSending(options, sink, CONNECTIONS)
  const db = openDatabase(locateEmbedded(fairlead.dataDir)!, 2)
  const measures: Measure[] = []
  let smallest: Size | null = null
  try {
    for (const [index, people] of sizes.entries()) {
      const name = nameOf(people)
      console.error(`${name}: writing them`)
      await addPeople(db, people, index + 1)
      const plan = { name, listId: index + 1, people, pause: index === sizes.length - 1 }
      // Nobody's first campaign is fast; were it the smallest's, the others would look better than they are.
      if (index === 0) await follow(fairlead, sink, { ...plan, pause: false })
      const courses: Course[] = []
      for (let round = 0; round < (index === 0 ? ROUNDS_OF_SMALLEST : 1); round++) {
        courses.push(await follow(fairlead, sink, plan))
      }
      const size = { name, courses }
      smallest ??= size
      measures.push(...describe(size, smallest))
    }
    return measures
  } finally {
    await db.destroy()
    await fairlead.remove()
    sink.stop()
  }
}

interface Size {
  name: string
  courses: readonly Course[]
}

function describe(size: Size, smallest: Size): Measure[] {
  const { name } = size
  const middle = (of: (course: Course) => number) => median(size.courses.map(of))
  const beside = (cost: (course: Course) => number, of: string) =>
    size === smallest
      ? {}
      : { ratio: middle(cost) / median(smallest.courses.map(cost)), of: `${smallest.name}: ${of}`, bar: FLAT }
  const time = 'time per message'
  const cpu = 'CPU of workers and database'
  const paused = size.courses.flatMap(({ untilPaused }) => untilPaused ?? [])
  const unit = 'µs/message'
  return [
    { name: `${name}: sent`, value: middle(({ messages, seconds }) => messages / seconds), unit: 'messages/s' },
    { name: `${name}: ${time}`, value: middle(timeOf), unit, ...beside(timeOf, time) },
    { name: `${name}: CPU of worker`, value: middle((course) => cpuOf(course, 'worker')), unit },
    { name: `${name}: CPU of postgres`, value: middle((course) => cpuOf(course, 'postgres')), unit },
    { name: `${name}: ${cpu}`, value: middle(cpuOfBoth), unit, ...beside(cpuOfBoth, cpu) },
    {
      name: `${name}: the first arrives after`,
      value: middle(({ untilFirst }) => untilFirst),
      unit: 'ms',
      bar: { atMost: 2_000 },
    },
    { name: `${name}: called sent after the last`, value: middle(({ untilSent }) => untilSent), unit: 'ms' },
    ...(paused.length > 0
      ? [{ name: `${name}: a pause stops it after`, value: median(paused), unit: 'ms', bar: { atMost: 1_000 } }]
      : []),
    { name: `${name}: memory of worker, before`, value: middle(({ memory }) => memory.before), unit: 'MB' },
    { name: `${name}: memory of worker, afterwards`, value: middle(({ memory }) => memory.after), unit: 'MB' },
  ]
}

const nameOf = (people: number) => `${people.toLocaleString('en')} recipients`

/** Per message, in µs, as are the two below. */
const timeOf = ({ seconds, messages }: Course) => (seconds * 1e6) / messages
const cpuOf = ({ cpu, messages }: Course, part: Part) => ((cpu.get(part) ?? 0) * 1e6) / messages
const cpuOfBoth = (course: Course) => cpuOf(course, 'worker') + cpuOf(course, 'postgres')
