import { readFileSync } from 'node:fs'
import {
  CompileError,
  compile,
  compileMessage,
  dataOf,
  type Env,
  type Host,
  type Profile,
  RenderError,
  Stop,
} from '../../src/index.ts'
import type { Change } from './language.ts'

const fixture = JSON.parse(readFileSync(new URL('./fixture.json', import.meta.url), 'utf8'))

const encode = (text: string) => encodeURIComponent(text).replaceAll('%20', '+')

/** The platform of the fixture. */
export function hostOf(engagement: number = fixture.engagement): Host {
  return {
    signupConfirm(request) {
      if (request.kind === 'optin') return 'https://l.example/sc/m1/aa'
      if (request.kind === 'nothing') return 'https://l.example/pref/m1/aa'
      return `https://l.example/sc/m1/aa?l=${encode(request.lists.join(','))}`
    },
    messageId: () => fixture.message_id,
    interest: (tag) => fixture.interest[tag] ?? null,
    engagement: () => engagement,
  }
}

export function profileOf(optout: string = fixture.profile.optout): Profile {
  return { ...fixture.profile, optout }
}

export function dataFor(change: Change = {}, more: Parameters<typeof dataOf>[0] = {}) {
  return dataOf({
    standard: fixture.standard,
    profile: profileOf(change.optout),
    vars: change.vars,
    named: { content: fixture.content, ...change.named },
    ...more,
  })
}

export function envFor(change: Change = {}): Env {
  return {
    now: fixture.clock,
    sendTime: fixture.send_time,
    timeZone: fixture.timezone,
    seed: 'm1 ada@example.org',
    host: hostOf(change.engagement),
  }
}

/** Renders as a mail part and names the outcome as the tables do. */
export function outcome(template: string, change: Change = {}): string {
  try {
    if (change.setup !== undefined) {
      return compileMessage({ setup: change.setup, subject: template }).render(dataFor(change), envFor(change)).subject
    }
    return compile(template).render(dataFor(change), envFor(change))
  } catch (error) {
    if (error instanceof CompileError) return 'COMPILE ERROR'
    if (error instanceof RenderError) return 'RENDER ERROR'
    if (error instanceof Stop) return `CANCELLED: ${error.reason}`
    throw error
  }
}

/** A complete example; the newline at the end of the file is not part of it. */
export function example(name: string): string {
  return readFileSync(new URL(`./examples/${name}.txt`, import.meta.url), 'utf8').replace(/\n$/, '')
}

export { fixture }
