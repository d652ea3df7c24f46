import type { MessageKind } from '../consent/decide.ts'
import type { LoadedTemplate } from '../templates/templates.ts'

/**
 * What a queued message counts as now. Campaigns and receipts stay what they are; the right to reach somebody who opted
 * out is the template's, and is lost when it is renamed or loses its link; and whether a template is transactional may
 * have changed.
 */
export function kindNow(kind: MessageKind, template: LoadedTemplate): MessageKind {
  if (kind === 'campaign' || kind === 'receipt') return kind
  if (kind === 'optin' && template.isOptinConfirm) return 'optin'
  return template.isBasic ? 'basic' : 'triggered'
}
