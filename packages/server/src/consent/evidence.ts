import type { Act, ProfileState } from '../profiles/change.ts'
import type { Settings } from '../settings/settings.ts'

type Policies = Pick<Settings, 'api_optin_policy' | 'flow_optin_policy'>

/**
 * Whether an act may make somebody's opt-out weaker, given why they left. Proof of the mailbox always suffices; a spam
 * report demands it, except from an API caller under the compatible policy. See docs/consent.md for the table.
 */
export function mayLoosen(profile: Pick<ProfileState, 'complainedAt'>, act: Act, policies: Policies): boolean {
  if (act.evidence === 4) return true
  const complained = profile.complainedAt !== null
  switch (act.via) {
    case 'api':
      return apiMayLoosen(act, complained, policies)
    case 'hosted_page':
      return act.evidence >= 2 && !complained
    case 'ui':
      return act.evidence >= 1 && !complained
    case 'import':
      return act.evidence >= 3 && !complained
    case 'flow':
      return !complained && flowMayLoosen(act, policies)
    default:
      // Headers, reports, bounces, purchases: automatic or one-directional, they only ever make things stricter.
      return false
  }
}

function apiMayLoosen(act: Act, complained: boolean, policies: Policies): boolean {
  if (policies.api_optin_policy === 'legacy') return true
  if (policies.api_optin_policy === 'confirm') return false
  return act.evidence >= 3 && !complained
}

/** A flow acts on the strength of the list join that started it. */
function flowMayLoosen(act: Act, policies: Policies): boolean {
  const source = act.listSource === 'flow' ? act.cause?.origin : act.listSource
  if (policies.flow_optin_policy === 'legacy' && source !== 'bulk') return source !== undefined
  switch (source) {
    case 'hosted_page':
      return act.evidence >= 2
    case 'user_api':
      return apiMayLoosen(act, false, policies)
    case 'ui':
      return act.evidence >= 1
    case 'site_form':
    case 'link_param':
    case 'bulk':
      // Anybody can type any address into a public form, and a click may be a scanner's.
      return act.evidence >= 3
    default:
      return false
  }
}
