import type { Json } from '../platform/json.ts'

/**
 * The parameters `sailthru_lists[Name]=1`, `sailthru_vars[Name]=value`, `sailthru_vars_type[Name]=number` and
 * `sailthru_horizon_tags=a,b` of a tracked link (Sailthru API docs, "URL parameters"): what a click is to do besides
 * leading somewhere. They are the author's words, not the visitor's, so they are taken out of the address when the link
 * is made, and signed.
 */
export interface LinkActs {
  /** Names of lists to join (true) or leave (false). */
  lists: Array<[name: string, join: boolean]>
  vars: Array<[name: string, value: string | number | boolean]>
}

const MOST_OF_EACH = 20
const LONGEST_NAME = 150
const LONGEST_VALUE = 4_096
/** As the API has it for names of vars. */
const VAR_NAME = /^[\p{L}\p{N}\p{M}_ -]+$/u

/** Splits an address into what it leads to and what it asks for. `acts` is null when it asks for nothing we can do. */
export function takeLinkActs(url: string): { url: string; acts: LinkActs | null } {
  // Most addresses hold none, and this is asked for every link of every message.
  if (!url.includes('sailthru_')) return { url, acts: null }
  const hash = url.indexOf('#')
  const end = hash === -1 ? url.length : hash
  const mark = url.indexOf('?')
  if (mark === -1 || mark > end) return { url, acts: null }
  const kept: string[] = []
  const lists = new Map<string, boolean>()
  const vars = new Map<string, string>()
  const types = new Map<string, string>()
  for (const pair of url.slice(mark + 1, end).split('&')) {
    const equals = pair.indexOf('=')
    const key = decoded(equals === -1 ? pair : pair.slice(0, equals))
    const found = /^sailthru_(lists|vars|vars_type)\[([^\]]+)\]$/.exec(key)
    if (!found && key !== 'sailthru_horizon_tags') kept.push(pair)
    if (!found) continue
    const [, kind, name] = found as unknown as [string, string, string]
    const value = equals === -1 ? '' : decoded(pair.slice(equals + 1))
    if (name.length > LONGEST_NAME || value.length > LONGEST_VALUE) continue
    if (kind === 'lists' && (value === '1' || value === '0')) lists.set(name, value === '1')
    if (kind === 'vars' && VAR_NAME.test(name)) vars.set(name, value)
    if (kind === 'vars_type') types.set(name, value)
  }
  const query = kept.length === 0 ? '' : `?${kept.join('&')}`
  const acts: LinkActs = {
    lists: [...lists].slice(0, MOST_OF_EACH),
    vars: [...vars].slice(0, MOST_OF_EACH).flatMap(([name, text]): LinkActs['vars'] => {
      const value = typed(text, types.get(name))
      return value === null ? [] : [[name, value]]
    }),
  }
  const isIdle = acts.lists.length + acts.vars.length === 0
  return { url: url.slice(0, mark) + query + url.slice(end), acts: isIdle ? null : acts }
}

/** The vars of a click as a change of the profile. */
export const varsOf = (acts: LinkActs): { [name: string]: Json } => Object.fromEntries(acts.vars)

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** A value as its type says or, without one, as it looks. Null: it is not of the type it is said to be. */
function typed(text: string, type: string | undefined): string | number | boolean | null {
  switch (type) {
    case 'string':
      return text
    case 'number':
      return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : null
    case 'boolean':
      if (/^(?:1|true|yes|on)$/i.test(text)) return true
      return /^(?:0|false|no|off|)$/i.test(text) ? false : null
    default:
      if (text === 'true' || text === 'false') return text === 'true'
      // Leading zeros, as of post codes, would be lost; so would digits past what a number can hold.
      return /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,6})?$/.test(text) ? Number(text) : text
  }
}
