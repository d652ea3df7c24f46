import { dataOf, type Env, type Profile, RenderError, type RenderedMessage, Stop } from '@fairlead/zephyr'
import type { Links } from '../links/links.ts'
import type { JsonObject } from '../platform/json.ts'
import { ENGAGEMENT_LEVELS, type Engagement } from '../profiles/engagement.ts'
import type { LoadedTemplate } from '../templates/templates.ts'
import { type FollowingRules, followingOf } from './follow.ts'
import type { ClaimedMessage } from './queue.ts'

/**
 * What a rendering came to. `isForOne`: it holds a link that proves whose mailbox it reached. `needs`: lists that a link names and that do not exist yet.
 */
export type RenderOutcome =
  | { kind: 'rendered'; rendered: RenderedMessage; optoutUrl: string; isForOne: boolean }
  | { kind: 'stopped'; reason: string }
  | { kind: 'failed'; reason: string }
  | { kind: 'needs'; lists: string[] }

export interface RenderParts {
  links: Pick<Links, 'optoutPage' | 'confirm' | 'tracked' | 'rewriter'>
  sendIdOf: (messageId: number) => string
}

export interface RenderEnv extends FollowingRules {
  now: Date
  timeZone: string
  engagement: Engagement
  /** `decided` of the person when they were read. */
  asOf: number
}

/**
 * Renders one message for one person.
 *
 * @param lists ids of lists by name, as far as they are known
 */
export function render(
  parts: RenderParts,
  message: ClaimedMessage,
  template: LoadedTemplate,
  profile: Profile,
  lists: ReadonlyMap<string, number>,
  env: RenderEnv,
): RenderOutcome {
  const { links, sendIdOf } = parts
  const unknown = new Set<string>()
  const link = { messageId: message.id, profileId: message.profile_id }
  const optoutUrl = links.optoutPage(link)
  const joining = listsToConfirm(message)
  let isForOne = false
  const confirm = (names: string[] | null, page?: string) => {
    // A link that is made again would be good for another 30 days.
    if (env.inBrowser) return optoutUrl
    isForOne = true
    for (const name of names ?? []) if (!lists.has(name)) unknown.add(name)
    const ids = names?.flatMap((name) => lists.get(name) ?? []) ?? joining
    const { asOf } = env
    return links.confirm({
      ...link,
      address: message.address,
      lists: ids,
      asOf,
      ...(page === undefined ? {} : { page }),
    })
  }
  const following = followingOf(links, message, template, profile, env)
  const { beacon, pixel, view } = following
  const standard = {
    email: message.address,
    public_url: '',
    optout_confirm_url: optoutUrl,
    optout_client_url: optoutUrl,
    beacon,
    beacon_ssl: beacon,
    beacon_src: pixel,
    beacon_src_ssl: pixel,
    beacon_url: view,
    view_url: view,
    text_url: `${view}/text`,
    // One that is made expires: only for templates that ask.
    get signup_confirm_url() {
      return confirm(null)
    },
  }
  const { purchase, event } = message.context
  const data = dataOf({
    standard,
    profile,
    vars: template.campaign ? { ...template.campaign.vars, ...message.vars } : message.vars,
    event: isObject(event) && isObject(event.vars) ? event.vars : undefined,
    named: {
      purchase: purchase ?? null,
      event: event ?? null,
      blast: blastOf(template),
      template: template.publicName,
    },
  })
  const seconds = Math.floor(env.now.getTime() / 1000)
  const environment: Env = {
    now: seconds,
    sendTime: seconds,
    timeZone: env.timeZone,
    seed: `${message.id}:${message.address}`,
    link: following.link,
    host: {
      messageId: () => sendIdOf(message.id),
      engagement: () => ENGAGEMENT_LEVELS[env.engagement],
      // A triggered mail is one person's own and has no public version.
      publicShare: () => '',
      // A mistyped argument gives a link without lists, which confirms nothing and never lifts an opt-out.
      signupConfirm: (request) =>
        confirm(
          request.kind === 'optin' ? null : request.kind === 'lists' ? request.lists : [],
          request.kind === 'optin' ? undefined : request.page,
        ),
    },
  }
  try {
    const rendered = template.message.render(data, environment)
    if (unknown.size > 0) return { kind: 'needs', lists: [...unknown] }
    return { kind: 'rendered', rendered: following.finish(rendered), optoutUrl, isForOne }
  } catch (error) {
    if (error instanceof Stop) return { kind: 'stopped', reason: error.reason || error.kind }
    if (error instanceof RenderError) return { kind: 'failed', reason: error.message }
    throw error
  }
}

/** What a campaign's content may say of the campaign; triggered mail has none. */
function blastOf({ campaign, fields }: LoadedTemplate): JsonObject | null {
  if (!campaign) return null
  const { id, name, list, suppressList } = campaign
  return { id, name, list, suppress_list: suppressList, from_email: fields.from_email, from_name: fields.from_name }
}

/** Lists that were asked for without sufficient proof: the confirmation that a flow mails joins them again. */
function listsToConfirm({ context }: ClaimedMessage): number[] | null {
  const { confirmLists } = context
  return Array.isArray(confirmLists) ? confirmLists.filter((id) => typeof id === 'number') : null
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
