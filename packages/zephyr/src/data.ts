import { Labelled } from './values.ts'

/** Plain JSON-like values by name. Never changed by a rendering. */
export type Values = Readonly<Record<string, unknown>>

/** One source of variables. */
export interface Layer {
  /** For messages about collisions: `vars`, `feed`, `request` … */
  readonly name: string
  readonly values: Values
  /** On hosted pages: visitors may have typed this, so it is escaped when printed. */
  readonly tainted?: boolean
}

/** `profile` of the recipient or visitor. Absent parts are filled in: `lists` and `vars` are never `null`. */
export interface Profile {
  readonly id?: string
  readonly email?: string | null
  readonly lists?: readonly string[]
  readonly vars?: Values
  /** `none` (or nothing), `blast`, `basic`, `all`. */
  readonly optout?: string | null
  readonly [field: string]: unknown
}

/**
 * Everything a rendering can read. A name is looked up first among the template's own assignments; a
 * protected standard variable then only in `standard`, any other name in the layers, first match wins.
 */
export interface Data {
  /** Standard variables: `email`, `optout_confirm_url`, `view_url` … */
  readonly standard?: Values
  readonly layers?: readonly Layer[]
  /** `null` or absent: nobody is identified. */
  readonly profile?: Profile | null
}

/** The sources a message or page can have; all optional. */
export interface Sources {
  standard?: Values
  profile?: Profile | null
  /** Query parameters of a hosted page. */
  request?: Values
  /** `form`, `result`, `signup_lists` of a hosted page: what visitors sent. */
  form?: Values
  /** Vars of one recipient of a send call. */
  evars?: Values
  /** Vars of the send call. */
  vars?: Values
  /** Vars of the event that started the message. */
  event?: Values
  /** `content`, `feed`, `blast`, `message`, `event`, `purchase`, `template`, `page`. */
  named?: Values
  /** Other top-level keys of the feed. */
  feed?: Values
  /** Preview only: test vars, which never replace an existing variable. */
  test?: Values
}

/** Puts the sources into the order in which Zephyr looks names up. */
export function dataOf(sources: Sources): Data {
  const layers: Layer[] = []
  const add = (name: string, values: Values | undefined, tainted = false) => {
    // Data from outside: vars may be null, or a list.
    if (typeof values === 'object' && values !== null && !Array.isArray(values)) layers.push({ name, values, tainted })
  }
  add('request', sources.request, true)
  add('form', sources.form, true)
  add('evars', sources.evars, true)
  add('vars', sources.vars, true)
  add('event', sources.event, true)
  add('named', sources.named)
  add('feed', sources.feed)
  add('profile.vars', sources.profile?.vars, true)
  add('test', sources.test, true)
  return { standard: sources.standard, layers, profile: sources.profile ?? null }
}

/** A value that prints as `label` and has fields as well, such as `template` on hosted pages. */
export function labelled(label: string, fields: Values): unknown {
  return new Labelled(label, fields)
}
