import type { Act, ListSource, ProfileChange, Refusal } from './change.ts'

/**
 * The order of decisions: a person's newest refusal stands, against everything that was decided before it or without
 * them. Refusals have numbers, which the database draws under the lock of the person; what was decided on a page, by a
 * link or through a flow says which refusals were known then. Clocks are asked only where nothing else is known: a site
 * attests by its own clock when somebody decided.
 */

type Deciding = Pick<ProfileChange, 'act' | 'asOf'>

/** A site's clock may differ from ours by this much, in ms. */
const CLOCKS_DIFFER = 5 * 60_000

/** Whether a refusal is newer than what a change wants to permit. */
export function isNewer(
  { number, at }: Pick<Refusal, 'number'> & { at: Date | null },
  { act, asOf }: Deciding,
): boolean {
  if (asOf !== undefined && number > asOf) return true
  const { decidedAt } = act
  return number > 0 && decidedAt !== undefined && at !== null && at.getTime() - decidedAt.getTime() > CLOCKS_DIFFER
}

/**
 * Whether somebody who left a list may be put back: by the person's own act, or by the site that speaks for the person,
 * if that is newer. A file, an operator without a reason, a flow and a click that may be a scanner's put nobody back.
 */
export function mayRejoin(leaving: Refusal, change: Deciding): boolean {
  const { act } = change
  if (isNewer(leaving, change)) return false
  switch (sourceOf(act)) {
    case 'hosted_page':
    case 'site_form':
    case 'confirm_link':
    case 'user_api':
      return true
    case 'ui':
      return act.evidence >= 1
    case 'link_param':
      return act.evidence >= 2
    case 'bulk':
      return act.evidence >= 3 && act.decidedAt !== undefined && act.decidedAt > leaving.at
    case 'flow':
      return false
  }
}

/** Where a join comes from. Nothing counts as the site's word unless it says so or came by the API. */
export function sourceOf({ listSource, via }: Pick<Act, 'listSource' | 'via'>): ListSource {
  if (listSource) return listSource
  switch (via) {
    case 'api':
      return 'user_api'
    case 'hosted_page':
    case 'confirm_link':
    case 'flow':
    case 'ui':
      return via
    case 'link':
      return 'link_param'
    default:
      return 'bulk'
  }
}
