import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Profiles } from '../profiles/door.ts'
import type { SettingsCache } from '../settings/settings.ts'
import { createDispatcher, type Dispatcher, type DispatchParts } from '../signals/dispatch.ts'
import { createDefinitions } from './definitions.ts'
import { createEngine, type Engine } from './engine.ts'
import { checkFlow, type Published, publishFlow } from './publish.ts'
import type { References } from './steps/step-type.ts'
import type { Reviewed } from './validate.ts'

export interface FlowsParts {
  db: Database
  clock: Clock
  log: Log
  settings: SettingsCache
  lists: References['lists']
  templates: References['templates']
  profiles: Pick<Profiles, 'changeIn'>
  reactions: DispatchParts['reactions']
  metrics?: Metrics
}

/** Flows, ready to work. */
export interface Flows {
  dispatcher: Dispatcher
  engine: Engine
  /** @param candidate a definition as read from JSON */
  check(candidate: unknown): Promise<Reviewed>
  publish(candidate: unknown): Promise<Published>
}

export function createFlows({ lists, templates, profiles, reactions, ...parts }: FlowsParts): Flows {
  const references = { lists, templates }
  const definitions = createDefinitions()
  const publishParts = async () => ({ ...parts, references, settings: await parts.settings.get() })
  return {
    dispatcher: createDispatcher({ ...parts, definitions, reactions }),
    engine: createEngine({ ...parts, references, profiles, definitions }),
    check: async (candidate) => checkFlow(await publishParts(), candidate),
    publish: async (candidate) => publishFlow(await publishParts(), candidate),
  }
}
