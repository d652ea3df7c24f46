import type { Profile } from '@fairlead/zephyr'
import type { JsonObject } from '../platform/json.ts'
import type { Engagement, SeenLast } from '../profiles/engagement.ts'
import { describeKeys, sidOf } from '../profiles/ids.ts'
import type { ProfileFacts } from '../profiles/read.ts'

/** What a person bought, in the form that templates read. */
export interface PurchaseHistory {
  /** Completed orders, newest last. */
  purchases: JsonObject[]
  /** The cart; null when there is none. */
  incomplete: JsonObject | null
}

/**
 * The variable `profile` of messages and pages.
 *
 * @param listNames names by list id; lists that are missing here are left out
 */
export function profileData(
  state: ProfileFacts,
  listNames: ReadonlyMap<number, { name: string }>,
  history: PurchaseHistory | null,
  engagement: Engagement,
  { openedAt, clickedAt }: SeenLast = { openedAt: null, clickedAt: null },
): Profile {
  const lists = [...state.lists].flatMap(([id, at]) => {
    const list = listNames.get(id)
    return list ? [{ name: list.name, at: unix(at) }] : []
  })
  return {
    get id() {
      return sidOf(state)
    },
    email: state.email,
    lists: lists.map((list) => list.name),
    lists_signup: Object.fromEntries(lists.map((list) => [list.name, list.at])),
    vars: state.vars,
    optout: state.level,
    engagement,
    signup_time: state.signupAt && unix(state.signupAt),
    open_time: openedAt && unix(openedAt),
    click_time: clickedAt && unix(clickedAt),
    purchases: history?.purchases ?? [],
    purchase_incomplete: history?.incomplete ?? null,
    returns: [],
    // Hashed when a template asks: few do.
    get keys() {
      return describeKeys(state)
    },
    pixel_tracking_consent: state.pixelConsent,
  }
}

const unix = (at: Date) => Math.floor(at.getTime() / 1000)
