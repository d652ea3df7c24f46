import PostalMime from 'postal-mime'
import type { ReceivedMessage } from './smtp.ts'

/** What a mail program shows of a message. */
export interface ReadMail {
  subject: string
  html: string
  text: string
  /** Addresses of the links, in order. */
  links: string[]
  /** By lower-case name; the last of several. */
  headers: Map<string, string>
}

/** Reads a message as a mail program does. */
export async function readMail({ raw }: Pick<ReceivedMessage, 'raw'>): Promise<ReadMail> {
  const { subject = '', html = '', text = '', headers } = await PostalMime.parse(raw)
  const links = Array.from(html.matchAll(/<a\b[^>]*\bhref="([^"]*)"/g), (found) => found[1]!.replaceAll('&amp;', '&'))
  return { subject, html, text, links, headers: new Map(headers.map(({ key, value }) => [key, value])) }
}

/** The first link of a message whose path begins so: `/oc/`, `/s/`. @throws when there is none */
export async function linkIn(message: Pick<ReceivedMessage, 'raw'>, path: string): Promise<string> {
  const { links, html } = await readMail(message)
  const found = links.find((link) => URL.canParse(link) && new URL(link).pathname.startsWith(path))
  if (found === undefined) throw new Error(`no link to ${path} in: ${html.slice(0, 500)}`)
  return found
}
