import type { Reply } from './reply.ts'

/** What a server offers, read from its answer to EHLO (RFC 5321 §4.1.1.1). */
export interface Capabilities {
  /** The name it gives itself. */
  name: string
  /** Its lines as they came, without the first. */
  lines: readonly string[]
  /** RFC 2920. */
  pipelining: boolean
  /** RFC 6152. */
  eightBit: boolean
  /** RFC 6531. */
  utf8: boolean
  /** RFC 2034. */
  enhancedCodes: boolean
  /** RFC 3461. */
  dsn: boolean
  /** RFC 3207; not said any more once TLS stands. */
  startTls: boolean
  /** Largest message in octets (RFC 1870); 0: it takes SIZE and names no limit; null: it does not know SIZE. */
  size: number | null
  /** SASL mechanisms, upper case (RFC 4954). */
  auth: readonly string[]
}

/** @param reply the positive answer to EHLO, or to HELO, which offers nothing */
export function readCapabilities({ lines }: Reply): Capabilities {
  const [first = '', ...offered] = lines
  const keywords = new Map<string, string>()
  const auth = new Set<string>()
  for (const line of offered) {
    // `AUTH=LOGIN` is how servers wrote it before there was a standard, and some still write both.
    const [, keyword = '', rest = ''] = /^([^\s=]+)[\s=]*(.*)$/.exec(line) ?? []
    const name = keyword.toUpperCase()
    if (name === 'AUTH') for (const mechanism of rest.toUpperCase().split(/\s+/)) if (mechanism) auth.add(mechanism)
    if (name) keywords.set(name, rest)
  }
  const size = keywords.get('SIZE')
  return {
    name: first.split(' ')[0] ?? '',
    lines: offered,
    pipelining: keywords.has('PIPELINING'),
    eightBit: keywords.has('8BITMIME'),
    utf8: keywords.has('SMTPUTF8'),
    enhancedCodes: keywords.has('ENHANCEDSTATUSCODES'),
    dsn: keywords.has('DSN'),
    startTls: keywords.has('STARTTLS'),
    size: size === undefined ? null : /^\d{1,15}$/.test(size) ? Number(size) : 0,
    auth: [...auth],
  }
}
