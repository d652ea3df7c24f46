import { OPTIN_CONFIRM } from './compile.ts'
import { OWN_MAILS } from './names.ts'
import type { LoadedTemplate } from './templates.ts'

/** What templates read, as their source tells: what they do not need not be loaded, signed or looked for. */

export const readsPurchases = (template: LoadedTemplate) => readsAny(template, 'purchased_items', /^profile\.purchase/)

export const readsActivity = (template: LoadedTemplate) =>
  readsAny(template, 'user_engagement', /^profile\.(?:engagement|open_time|click_time)$/)

/** Anything of the profile but its vars may be its lists: `{profile[x]}` says what only as it is printed. */
export const readsLists = (template: LoadedTemplate) => readsOf(template).variables.includes('profile')

/** Whether a template calls a function, or reads such members of the profile or the profile as a whole. */
function readsAny(template: LoadedTemplate, called: string, members: RegExp): boolean {
  const { functions, paths, variables } = readsOf(template)
  return (
    functions.includes(called) ||
    paths.some((path) => members.test(path)) ||
    (variables.includes('profile') && !paths.some((path) => path.startsWith('profile.')))
  )
}

interface Reads {
  assigned: readonly string[]
  functions: readonly string[]
  paths: readonly string[]
  signupConfirm: boolean
  variables: readonly string[]
}

const NOTHING: Reads = { assigned: [], functions: [], paths: [], signupConfirm: false, variables: [] }

/** Found out once for each revision. One that no longer compiles reads nothing; rendering it says so. */
const known = new WeakMap<LoadedTemplate, Reads>()

function readsOf(template: LoadedTemplate): Reads {
  let reads = known.get(template)
  if (!reads) {
    try {
      reads = template.message.reads
    } catch {
      reads = NOTHING
    }
    known.set(template, reads)
  }
  return reads
}

/** Whether a template prints its opt-out link, or may. */
export const readsOptoutLink = (template: LoadedTemplate) =>
  readsVariable(template, ['optout_confirm_url', 'optout_client_url'])

/**
 * Whether a message of the template may hold a link that proves whose mailbox it reached: then it goes to one address.
 * The templates of the pages' own mails count too, as those are links of one person.
 */
export const holdsConfirmation = (template: LoadedTemplate) =>
  readsOf(template).signupConfirm ||
  (template.campaign === null && (template.name === OPTIN_CONFIRM || OWN_MAILS.some((name) => name === template.name)))

/** Whether it puts the open pixel somewhere itself. */
export const readsBeacon = (template: LoadedTemplate) =>
  readsVariable(template, ['beacon', 'beacon_ssl', 'beacon_src', 'beacon_src_ssl'])

/** Whether it leads to itself in the browser. */
export const readsView = (template: LoadedTemplate) => readsVariable(template, ['beacon_url', 'view_url', 'text_url'])

const readsVariable = (template: LoadedTemplate, names: readonly string[]) => {
  const { variables, assigned } = readsOf(template)
  return names.some((name) => variables.includes(name) || assigned.includes(name))
}
