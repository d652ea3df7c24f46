/** Words an expression cannot use as a variable name. After a dot, and as an object key, they are ordinary. */
export const RESERVED: ReadonlySet<string> = new Set([
  'true',
  'false',
  'null',
  'if',
  'else',
  'case',
  'switch',
  'select',
  'for',
  'foreach',
  'lambda',
])

/**
 * Standard variables. Only the caller's `standard` values and the profile may supply them: a feed key,
 * send var, profile var or request parameter of the same name is never looked at.
 */
export const PROTECTED: ReadonlySet<string> = new Set([
  'email',
  'profile',
  'emailnum',
  'optout_confirm_url',
  'optout_client_url',
  'signup_confirm_url',
  'view_url',
  'text_url',
  'public_url',
  'forward_url',
  'beacon',
  'beacon_ssl',
  'beacon_src',
  'beacon_src_ssl',
  'beacon_url',
  'rendered_html',
])

/** `{return}` and the like inside a script are JavaScript, not a variable. */
export const SCRIPT_WORDS: ReadonlySet<string> = new Set([
  'return',
  'debugger',
  'break',
  'continue',
  'throw',
  'yield',
  'await',
  'default',
  'do',
  'try',
  'finally',
  'var',
  'let',
  'const',
  'function',
  'class',
])
