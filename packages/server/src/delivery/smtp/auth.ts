import { createHmac } from 'node:crypto'
import { CLOSING, isPositive, type Reply, textOf } from './reply.ts'
import type { Wire } from './wire.ts'

/** SASL mechanisms spoken here, strongest first. The first shows no secret; the others hand it over. */
export const MECHANISMS = ['CRAM-MD5', 'PLAIN', 'LOGIN', 'XOAUTH2'] as const
export type Mechanism = (typeof MECHANISMS)[number]

export interface Credentials {
  user: string
  /** The password; for XOAUTH2 the access token. */
  password: string
}

/**
 * Chooses how to sign in. XOAUTH2 comes last among those that are not asked for by name: it wants a token, which only
 * whoever set it knows the password to be.
 *
 * @param wanted by the relay's settings; null: whatever is best
 * @param isPrivate nobody can listen: TLS, or this machine's own loopback
 * @returns the mechanism, or what is wrong
 */
export function chooseMechanism(
  offered: readonly string[],
  wanted: Mechanism | null,
  isPrivate: boolean,
): { mechanism: Mechanism } | { problem: string } {
  const known = MECHANISMS.filter((name) => offered.includes(name) && (wanted === null || name === wanted))
  const mechanism = known.find((name) => isPrivate || name === 'CRAM-MD5')
  if (mechanism) return { mechanism }
  const offer = offered.length > 0 ? `offers ${offered.join(', ')}` : 'offers no way to sign in'
  if (known.length > 0) return { problem: `the server ${offer} without encryption, so the password was not sent` }
  return { problem: wanted ? `the server ${offer}, not ${wanted}` : `the server ${offer}` }
}

/** Signs in (RFC 4954). @returns null, or what is wrong; never with the password in it */
export async function signIn(wire: Wire, mechanism: Mechanism, credentials: Credentials): Promise<string | null> {
  const { user, password } = credentials
  // Both are separators in what is sent, so with one inside, something else would be signed in with.
  if (/[\0\x01]/.test(user + password)) return 'the user name or the password holds a control character'
  const reply = await talk(wire, mechanism, credentials)
  if (reply === null) return wire.ended() ?? 'the connection was closed while signing in'
  if (isPositive(reply)) return null
  const refused = reply.code < 500 || reply.code === CLOSING ? 'cannot check the password now' : 'refuses the password'
  return `the server ${refused} of ${JSON.stringify(user)}: ${textOf(reply)}`
}

/** @returns the last reply; null when the connection ended before it */
async function talk(wire: Wire, mechanism: Mechanism, { user, password }: Credentials): Promise<Reply | null> {
  const ask = async (line: string) => (await wire.ask(`${line}\r\n`, ['auth']))[0] ?? null
  const isGoingOn = (reply: Reply | null): reply is Reply => reply?.code === 334
  switch (mechanism) {
    case 'PLAIN': {
      const response = base64(`\0${user}\0${password}`)
      const reply = await ask(`AUTH PLAIN ${response}`)
      // Some servers want the response by itself (RFC 4954 §4 lets them ask for it).
      return isGoingOn(reply) ? ask(response) : reply
    }
    case 'LOGIN': {
      const first = await ask('AUTH LOGIN')
      if (!isGoingOn(first)) return first
      const second = await ask(base64(user))
      return isGoingOn(second) ? ask(base64(password)) : second
    }
    case 'CRAM-MD5': {
      // RFC 2195 §2: the challenge is answered with a keyed hash of it.
      const challenge = await ask('AUTH CRAM-MD5')
      if (!isGoingOn(challenge)) return challenge
      const words = Buffer.from(challenge.lines.join(''), 'base64')
      return ask(base64(`${user} ${createHmac('md5', password).update(words).digest('hex')}`))
    }
    case 'XOAUTH2': {
      const reply = await ask(`AUTH XOAUTH2 ${base64(`user=${user}\x01auth=Bearer ${password}\x01\x01`)}`)
      // A refusal comes as a challenge that explains it; an empty answer brings the reply itself.
      return isGoingOn(reply) ? ask('') : reply
    }
  }
}

const base64 = (text: string) => Buffer.from(text).toString('base64')
