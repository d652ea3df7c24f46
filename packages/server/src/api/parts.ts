import type { Campaigns } from '../campaigns/campaigns.ts'
import type { Repeats } from '../campaigns/repeats.ts'
import type { Config } from '../config.ts'
import type { Refusals } from '../consent/refusals.ts'
import type { Links } from '../links/links.ts'
import type { Lists } from '../lists/lists.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Profiles } from '../profiles/door.ts'
import type { Purchases } from '../purchases/purchases.ts'
import type { Sends } from '../sends/sends.ts'
import type { SettingsCache } from '../settings/settings.ts'
import type { Templates } from '../templates/templates.ts'

/** What the endpoints work with. */
export interface ApiParts {
  config: Pick<Config, 'publicUrl' | 'from'>
  db: Database
  clock: Clock
  log: Log
  settings: SettingsCache
  links: Links
  lists: Lists
  profiles: Profiles
  refusals: Pick<Refusals, 'wishesOf'>
  templates: Templates
  sends: Sends
  purchases: Purchases
  campaigns: Campaigns
  repeats: Repeats
}
