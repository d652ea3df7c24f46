import { describe, expect, it } from 'vitest'
import { CompileError, type Context, compile } from '../src/index.ts'
import { outcome } from './conformance/fixture.ts'
import { STATEMENTS } from './conformance/statements.ts'

for (const [section, statements] of Object.entries(STATEMENTS)) {
  describe(section, () => {
    for (const [statement, rows] of Object.entries(statements)) {
      it(statement, () => {
        for (const [template, expected] of rows) expect.soft(outcome(template), template).toBe(expected)
      })
    }
  })
}

/** Where the functions that are not for everywhere may stand; all others may stand anywhere. */
const PLACES: Record<string, readonly Context[]> = {
  'assert(1)': ['mail', 'setup', 'page', 'trigger'],
  'cancel(0)': ['mail', 'setup', 'page', 'trigger'],
  "personalize({'algorithm': 'popular'})": ['mail', 'setup', 'page', 'trigger'],
  'horizon_select([], 1)': ['mail', 'setup', 'page', 'trigger'],
  "horizon_interest('a')": ['mail', 'setup', 'page', 'trigger'],
  'user_engagement()': ['mail', 'setup', 'page', 'trigger'],
  "user_geo_home('city')": ['mail', 'setup', 'page', 'trigger'],
  'purchased_items([], true, 1)': ['mail', 'setup', 'page', 'trigger'],
  'promotion()': ['mail', 'setup', 'trigger'],
  "append_user_var('a', 1)": ['mail', 'setup', 'trigger'],
  'api_user({})': ['trigger'],
  'api_set_email({})': ['trigger'],
  "api_send('a')": ['trigger'],
  "api_event({'event': 'a'})": ['trigger'],
  'signup_confirm()': ['mail', 'setup', 'page', 'link', 'trigger'],
  'message_id()': ['mail', 'setup', 'page', 'link', 'trigger'],
  "public_share('url')": ['mail', 'setup', 'page', 'link', 'trigger'],
  'md5(email)': ['mail', 'setup', 'page', 'link', 'trigger'],
}

describe('places', () => {
  for (const [call, places] of Object.entries(PLACES)) {
    for (const context of ['mail', 'setup', 'page', 'link', 'trigger'] as const) {
      const allowed = places.includes(context)
      it(`${call} ${allowed ? 'may' : 'may not'} stand in: ${context}`, () => {
        const compiling = () => compile(`{${call}}`, { context })
        if (allowed) compiling()
        else expect(compiling).toThrow(CompileError)
      })
    }
  }
})
