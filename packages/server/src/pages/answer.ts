import type { FastifyReply } from 'fastify'

/** A finished page. */
export interface Page {
  status: number
  html: string
  /** The part of the policy about styles: a hash for our own pages. */
  styles: string
  /** The same about scripts, of which only one page has one. */
  scripts?: string
  /** Origins beside our own to which saving a form may lead. */
  leadsTo?: readonly string[]
  retryAfter?: number
}

/**
 * Pages are about one person and reached by a link that is a key: they are not kept, not indexed, not framed, pass
 * their address on to nobody, and load nothing from anywhere.
 */
export const PAGE_HEADERS = {
  'cache-control': 'no-store',
  'x-robots-tag': 'noindex, nofollow',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
} as const

/** Sends a page. Only ever our own reply: Fastify answers HEAD with the same headers and no content. */
export function sendPage(reply: FastifyReply, page: Page): FastifyReply {
  reply.headers(PAGE_HEADERS)
  reply.header('content-security-policy', policy(page))
  if (page.retryAfter !== undefined) reply.header('retry-after', String(page.retryAfter))
  return reply.code(page.status).type('text/html; charset=utf-8').send(Buffer.from(page.html))
}

function policy({ styles, scripts, leadsTo = [] }: Page): string {
  return [
    "default-src 'none'",
    `style-src ${styles}`,
    ...(scripts ? [`script-src ${scripts}`] : []),
    'img-src data:',
    // Browsers hold the redirect after a form to this, too.
    `form-action ${["'self'", ...leadsTo].join(' ')}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

/** After a save the browser asks again by GET, so that a reload repeats nothing. */
export function sendBack(reply: FastifyReply, location: string): FastifyReply {
  return reply.headers(PAGE_HEADERS).code(303).header('location', location).send()
}

/** What a form is answered with: a page, or the way to one. */
export type Answer = Page | { goTo: string }

export function sendAnswer(reply: FastifyReply, answer: Answer): FastifyReply {
  return 'goTo' in answer ? sendBack(reply, answer.goTo) : sendPage(reply, answer)
}

/** A short plain text, for programs. */
export function sendText(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.headers(PAGE_HEADERS).code(status).type('text/plain; charset=utf-8').send(`${text}\n`)
}
