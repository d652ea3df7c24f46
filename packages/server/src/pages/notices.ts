import { dataOf } from '@fairlead/zephyr'
import type { Page } from './answer.ts'
import type { BuiltIn } from './built-in.ts'
import type { PageParts } from './parts.ts'
import { basePath } from './reach.ts'
import { commonOf } from './view.ts'

/**
 * Short pages for when a link leads nowhere or something went wrong. None of them tells whether an address is known,
 * subscribed, opted out or bounced.
 */
export type NoticeName = keyof typeof NOTICES

interface Notice {
  status: number
  title: string
  paragraphs: string[]
  retryAfter?: number
  /** Offers to mail a fresh link to an address that is typed in. */
  asksAddress?: true
}

const NOTICES = {
  invalid: {
    status: 404,
    title: 'This link is not valid',
    paragraphs: [
      'It may have been cut short on its way to you. Please open it again from the message, or copy it whole.',
      'Every message we send has a link of its own for stopping email; the newest one always works.',
    ],
    asksAddress: true,
  },
  expired: {
    status: 404,
    title: 'This link is too old',
    paragraphs: ['Please ask for a new one where you found it, or use the link in the newest message you have.'],
    asksAddress: true,
  },
  unknown: { status: 404, title: 'There is no such page', paragraphs: ['Please check the address.'] },
  method: { status: 405, title: 'This page takes no forms', paragraphs: ['Nothing was changed.'] },
  unreadable: { status: 400, title: 'We could not read that form', paragraphs: [] },
  toolarge: { status: 413, title: 'That was too much', paragraphs: ['The form was too large. Nothing was changed.'] },
  erased: {
    status: 200,
    title: 'Nothing is stored',
    paragraphs: ['We hold no data about the person this link was made for.'],
  },
  refused: {
    status: 200,
    title: 'We will not write to this address',
    paragraphs: ['It is kept in a form that nobody can read, for the case that somebody gives us the address again.'],
  },
  forgotten: {
    status: 410,
    title: 'We know nothing of this message any more',
    paragraphs: ['There was nothing to switch off. Every message we send has a link of its own for stopping email.'],
  },
  unavailable: {
    status: 503,
    title: 'Please try again in a moment',
    paragraphs: ['We could not reach our records just now, so nothing was saved. Your link stays good.'],
    retryAfter: 30,
  },
  stale: {
    status: 200,
    title: 'This link can no longer be used',
    paragraphs: [
      'It is too old, or a newer decision has taken its place. Nothing was changed.',
      'We can send a fresh link to the address that this one was sent to.',
    ],
  },
  confirmed: {
    status: 200,
    title: 'Already confirmed',
    paragraphs: ['This link has done its work, and works only once.'],
  },
  denied: {
    status: 200,
    title: 'Thank you for telling us',
    paragraphs: [
      'This link does nothing any more, and messages of its kind reach you no more. All else stays as it was.',
    ],
  },
  requested: {
    status: 200,
    title: 'Look into your mailbox',
    paragraphs: [
      'If a fresh link can be sent to that address, it is on its way.',
      'Nothing there after some minutes? Look into the spam folder. We send such links a few times a day at most.',
    ],
  },
  noted: {
    status: 202,
    title: 'We have noted it',
    paragraphs: [
      'Our records cannot be reached just now. What you switched off is written down and takes effect by itself in a ' +
        'moment; you need not come back.',
    ],
  },
  addresstaken: {
    status: 200,
    title: 'Your address is changed',
    paragraphs: ['From now on we write to the new address. Your choices are as they were.'],
  },
  addresskept: {
    status: 200,
    title: 'Your address stays as it is',
    paragraphs: ['The request for another one is void, and its links do nothing any more.'],
  },
  addressstale: {
    status: 200,
    title: 'This link can no longer be used',
    paragraphs: ['It is too old, or the address has changed since. Nothing was changed.'],
  },
} satisfies Record<string, Notice>

export interface NoticeOptions {
  /** Offers a fresh confirmation link; where to ask for it. */
  freshAt?: string
  back?: string
  /** Offers to have an address refused that nobody has; where to ask for it. */
  refuseAt?: string
  /** The person's preference page. */
  choices?: string | null
  paragraph?: string
}

/** Where a fresh link is asked for by address. */
export const FRESH_LINK = '/oc'

const WITHOUT_DATABASE: ReadonlySet<NoticeName> = new Set(['unavailable', 'noted'])

/** Renders one. Works without the database, for when it is away. */
export async function notice(
  parts: PageParts,
  builtIn: BuiltIn,
  name: NoticeName,
  options: NoticeOptions = {},
): Promise<Page> {
  const { status, title, paragraphs, retryAfter, asksAddress }: Notice = NOTICES[name]
  const settings = WITHOUT_DATABASE.has(name) ? null : await parts.settings.get()
  const page = {
    ...commonOf(parts.config.from, { sender_name: settings?.sender_name ?? '' }),
    title,
    paragraphs: options.paragraph ? [options.paragraph, ...paragraphs] : paragraphs,
    fresh: options.freshAt !== undefined,
    refuses: options.refuseAt !== undefined,
    action: options.freshAt ?? options.refuseAt ?? `${basePath(parts.config.publicUrl)}${FRESH_LINK}`,
    asks: asksAddress === true,
    choices: options.choices ?? null,
    back: options.back ?? null,
  }
  const html = builtIn.render('notice', dataOf({ named: { page } }))
  return { status, html, styles: builtIn.styles, ...(retryAfter === undefined ? {} : { retryAfter }) }
}
