import { addLinkParams, escapeHtml, type LinkSource } from '@fairlead/zephyr'
import { parseFragment } from 'parse5'
import { takeLinkActs } from './link-parameters.ts'
import { type MessageLinks, type Target, targetOf } from './tracked.ts'

/**
 * Puts tracked links in the place of those that an author wrote. What can be known of a link from its template is found
 * out once; for an address that is the same in all messages that is everything but the signature.
 */
export interface LinkRewriter {
  /**
   * For the hook of the template compiler.
   *
   * @param value the attribute as it would be printed, character references included
   * @param params appended to the address (the template's `link_params`)
   */
  html(message: MessageLinks, value: string, link: LinkSource, params: string): string
  /** Addresses in plain text. */
  text(message: MessageLinks, text: string): string
  /** The same addresses for somebody whose visit is not followed: they lead where the tracked ones would. */
  plain(value: string, link: LinkSource, params: string): string
}

/** What is known of a link before any message is made of it. */
interface Plan {
  /** Left as it is, by its author's wish or because it leads to no website. */
  leave: boolean
  /** Null: the address is made for each message. */
  target: Target | null
}

/** Addresses remembered; each is at most some kilobytes. */
const MOST_TARGETS = 500

const LEAVE: Plan = { leave: true, target: null }
const EACH: Plan = { leave: false, target: null }

/** First parts of the paths of our own pages: these links are keys, and what they do is recorded where it is done. */
const OURS = ['a', 'b', 'c', 'f', 'join', 'manage', 'o', 'oc', 'page', 's', 'u', 'v']

export function createLinkRewriter({ publicUrl }: { publicUrl: string }): LinkRewriter {
  const ours = new RegExp(`^${publicUrl.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}/(?:${OURS.join('|')})(?:[/?#]|$)`, 'i')
  const plans = new WeakMap<LinkSource, Plan>()
  /** Addresses in plain text, as far as they come again and again. */
  const targets = new Map<string, Target | null>()

  /** Null: this one is not tracked. */
  function read(url: string, params: string): { url: string; target: Target } | null {
    // Browsers drop white space around and line breaks inside an address.
    const address = url.trim().replace(/[\t\r\n]/g, '')
    if (!/^https?:\/\//i.test(address) || ours.test(address) || !URL.canParse(address)) return null
    const { url: bare, acts } = takeLinkActs(address)
    const target = targetOf(addLinkParams(bare, params), acts)
    return target === null ? null : { url: addLinkParams(bare, params), target }
  }

  function targetIn(url: string): Target | null {
    let target = targets.get(url)
    if (target === undefined) {
      target = read(url, '')?.target ?? null
      // Those that are made for each message would fill any room: then all is found out anew.
      if (targets.size >= MOST_TARGETS) targets.clear()
      targets.set(url, target)
    }
    return target
  }

  function planOf(link: LinkSource, value: string): Plan {
    if (isSwitchedOff(link)) return LEAVE
    if (link.dynamic) return EACH
    const fixed = read(attributeText(value), '')
    return fixed ? { leave: false, target: fixed.target } : LEAVE
  }

  return {
    html(message, value, link, params) {
      let plan = plans.get(link)
      if (!plan) {
        plan = planOf(link, value)
        plans.set(link, plan)
      }
      if (plan.leave) return value
      if (plan.target !== null && params === '') return message.click(link.index, plan.target)
      const found = read(attributeText(value), params)
      return found ? message.click(link.index, found.target) : value
    },

    text(message, text) {
      return text.replace(/\bhttps?:\/\/[^\s<>"']+/gi, (match) => {
        if (ours.test(match)) return match
        // Punctuation behind an address belongs to the sentence.
        const url = match.replace(/[.,;:!?]+$/, '').replace(/\)$/, (end) => (match.includes('(') ? end : ''))
        const target = targetIn(url)
        return target === null ? match : message.click(null, target) + match.slice(url.length)
      })
    },

    plain(value, link, params) {
      if (isSwitchedOff(link)) return value
      const found = read(attributeText(value), params)
      return found ? escapeHtml(found.url).replace(/\s/g, encodeURIComponent) : value
    },
  }
}

/** `clicktracking="off"`, as other senders have it too. */
function isSwitchedOff({ attributes }: LinkSource): boolean {
  const word = attributes.get('clicktracking') ?? attributes.get('data-clicktracking')
  return word !== undefined && /^\s*(?:off|false|no|0)\s*$/i.test(word)
}

/**
 * What an attribute says to a browser. A bare `&` before a name and `=` is itself (HTML, "named character reference
 * state"), so only what may mean another character goes to the parser.
 */
function attributeText(value: string): string {
  if (!value.includes('&')) return value
  if (!/&(?!amp;)(?:#|[a-z][a-z0-9]*(?![a-z0-9=]))/i.test(value)) return value.replaceAll('&amp;', '&')
  const { childNodes } = parseFragment(`<a href="${value.replaceAll('"', '&quot;')}">`)
  const [link] = childNodes
  return (link && 'attrs' in link && link.attrs[0]?.value) || value
}
