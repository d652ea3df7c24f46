import type { LoadedTemplate } from './templates.ts'

/** What templates read of people beyond their own row: loaded only for those that do. */

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
  functions: readonly string[]
  paths: readonly string[]
  variables: readonly string[]
}

const NOTHING: Reads = { functions: [], paths: [], variables: [] }

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
