import { describe, expect, test } from 'vitest'
import { HOST_FUNCTIONS, problemWith, warningsAbout } from '../../src/templates/compile.ts'
import { EMPTY_FIELDS, type TemplateFields } from '../../src/templates/fields.ts'

const problem = (change: Partial<TemplateFields>) => problemWith({ ...EMPTY_FIELDS, ...change }, HOST_FUNCTIONS)

test('functions that nothing serves yet are refused by name', () => {
  for (const call of ["personalize({'algorithm': 'popular'})", 'promotion()', "append_user_var('a', 1)", "ad('top')"]) {
    const name = call.slice(0, call.indexOf('('))
    expect(problem({ setup: `{x = ${call}}` })).toBe(`'${name}' is not available here (setup, line 1, column 6)`)
  }
})

test('functions of trigger scripts are refused in mail, and snippets that are not there', () => {
  expect(problem({ subject: "{api_user({'vars': {}})}" })).toContain("'api_user' cannot be used in the body of a mail")
  expect(problem({ link_params: { a: '{promotion().code}' } })).toContain('in link parameters')
  expect(problem({ content_html: "{include 'sig'}" })).toContain("there is no snippet 'sig'")
})

test('every field is compiled, and named where it is wrong', () => {
  for (const field of ['setup', 'from_name', 'subject', 'content_html', 'content_text'] as const) {
    expect(problem({ [field]: 'x\n{uper(1)}' })).toBe(
      `unknown function 'uper'; did you mean 'upper'? (${field}, line 2, column 2)`,
    )
  }
  expect(problem({ link_params: { a: '{uper(1)}' } })).toContain('(link_params, line 1')
  expect(problem({ from_email: '{sender}@example.com' })).toContain('from_email cannot hold Zephyr')
})

describe('warnings', () => {
  const about = (change: Partial<TemplateFields>, name = 'News') =>
    warningsAbout(name, { ...EMPTY_FIELDS, ...change }, HOST_FUNCTIONS).map(({ code, field }) => `${field} ${code}`)

  test('tell what is probably not meant, by field', () => {
    expect(about({ subject: 'x', content_html: "<p>{horizon_interest('sea')}" })).toEqual([
      'content_html unserved',
      'content_html no-optout-link',
    ])
    expect(about({ setup: '{a = 1}', subject: '{a}{b}', content_html: '{b = 1}{optout_confirm_url}' })).toEqual([
      'subject assigned-elsewhere',
    ])
    expect(about({ content_html: '{signup_confirm(lits)}{optout_confirm_url}' })).toEqual([
      'content_html signup-may-be-missing',
    ])
    expect(about({ content_html: "{if profile.optout == 'all'}x{/if}{optout_confirm_url}" })).toEqual([
      'content_html optout-all-only',
    ])
  })

  test('ask for no opt-out link where no footer is added', () => {
    expect(about({ content_html: 'Receipt', is_basic: true })).toEqual([])
    expect(about({ content_html: '<a href="{signup_confirm()}">yes</a>' }, 'Opt-in Confirm')).toEqual([])
  })
})
