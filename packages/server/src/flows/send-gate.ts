import type { EnqueueOutcome } from '../sends/enqueue.ts'
import type { LoadedTemplate } from '../templates/templates.ts'

/** Why a send was skipped. Names of their own, since they stay in the log for good. */
export type SkipReason =
  | 'no_email'
  | 'optout_marketing'
  | 'optout_all'
  | 'optout_template'
  | 'hardbounce'
  | 'suppressed'
  | 'optin_not_requested'
  | 'optin_throttled'

/** Puts the refusal of a message into the words of the flow's log. @param outcome null: the person has no address */
export function refusalOf(
  outcome: EnqueueOutcome | null,
  template: Pick<LoadedTemplate, 'isOptinConfirm'>,
): SkipReason {
  if (outcome === null) return 'no_email'
  if (outcome.ok) throw new Error('an accepted message was not refused')
  switch (outcome.reason) {
    case 'optout_all':
    case 'optout_marketing':
    case 'optout_blast':
      // The confirmation passes both; only its limit stops it there.
      if (template.isOptinConfirm) return 'optin_throttled'
      return outcome.reason === 'optout_all' ? 'optout_all' : 'optout_marketing'
    case 'optout_template':
      return 'optout_template'
    case 'hardbounce':
      return 'hardbounce'
    case 'invalid_email':
      return 'no_email'
    case 'blacklisted':
    case 'never_mail':
      return 'suppressed'
    default:
      throw new Error(`a flow's message was refused as ${outcome.reason}`)
  }
}
