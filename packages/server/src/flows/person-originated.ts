import type { ListSource } from '../profiles/change.ts'
import { listSourceOf } from './cause.ts'
import type { Run } from './run.ts'

const PERSON: ReadonlySet<ListSource> = new Set(['hosted_page', 'site_form', 'confirm_link', 'link_param'])
const DAY = 86_400_000

/** How the chain that the run belongs to began: what other flows did in between adds no will of the person's. */
export function originOf(run: Pick<Run, 'cause' | 'context'>): ListSource {
  return run.cause.origin ?? listSourceOf(run.context.trigger.source)
}

/** Whether the person acted at most a day ago. */
export function isFresh(run: Pick<Run, 'cause' | 'context'>, now: Date): boolean {
  return now.getTime() - new Date(run.cause.at ?? run.context.trigger.at).getTime() <= DAY
}

/** Whether the run began with something the person did, at most a day ago. */
export function isRequested(run: Pick<Run, 'cause' | 'context'>, now: Date): boolean {
  return PERSON.has(originOf(run)) && isFresh(run, now)
}
