import type { Env, Profile, RenderedMessage } from '@fairlead/zephyr'
import type { Links } from '../links/links.ts'
import { readsBeacon, readsView } from '../templates/reads.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import { beforeBodyEnd } from './body-end.ts'
import type { ClaimedMessage } from './queue.ts'

/** How one message tells that it was opened and its links were followed. */
export interface Following {
  /** The open pixel as an element, and its address; empty where there is none. */
  beacon: string
  pixel: string
  /** Address of the message in the browser; empty for a template that does not ask for it. */
  view: string
  /** The hook that replaces addresses; undefined: they stay as their author wrote them. */
  link: Env['link']
  /** Does what is left to do once all is rendered. */
  finish(rendered: RenderedMessage): RenderedMessage
}

export interface FollowingRules {
  /** Who said nothing about open pixels gets none. */
  pixelNeedsConsent: boolean
  /** Somebody looks at the message again: nothing is followed. */
  inBrowser?: boolean
}

export function followingOf(
  links: Pick<Links, 'tracked' | 'rewriter'>,
  message: ClaimedMessage,
  template: LoadedTemplate,
  profile: Profile,
  { pixelNeedsConsent, inBrowser = false }: FollowingRules,
): Following {
  const { rewriter } = links
  const made = links.tracked.ofMessage({ id: message.id, isTest: message.options.test === true })
  const pixel = !inBrowser && mayHavePixel(message, template, profile, pixelNeedsConsent) ? made.pixel() : ''
  const beacon = pixel && `<img src="${pixel}" width="1" height="1" border="0" alt="">`
  const { is_link_tracking: tracks, content_text: ownText } = template.fields
  return {
    beacon,
    pixel,
    view: readsView(template) ? made.view() : '',
    link: !tracks
      ? undefined
      : inBrowser
        ? (url, link, params) => rewriter.plain(url, link, params)
        : (url, link, params) => rewriter.html(made, url, link, params),
    finish(rendered) {
      let { html, text } = rendered
      // A text part made from the HTML part has its links from there.
      if (tracks && !inBrowser && ownText !== '') text = rewriter.text(made, text)
      if (pixel !== '' && html !== '' && !(readsBeacon(template) && html.includes(pixel)))
        html = beforeBodyEnd(html, beacon)
      return { ...rendered, html, text }
    },
  }
}

/**
 * Whether a message may tell that it was opened. Never when the person minds, nor the mails about the person's own
 * choices: what somebody does about these is nobody's business but theirs.
 */
function mayHavePixel(
  { kind, origin }: ClaimedMessage,
  template: LoadedTemplate,
  profile: Profile,
  needsConsent: boolean,
): boolean {
  if (kind === 'optin' || origin === 'page' || template.isOptinConfirm) return false
  const { pixel_tracking_consent: consent } = profile
  return consent === 'opt-in' || (consent !== 'opt-out' && !needsConsent)
}
