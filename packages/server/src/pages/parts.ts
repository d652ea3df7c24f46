import type { Config } from '../config.ts'
import type { Refusals } from '../consent/refusals.ts'
import type { SigningKeys } from '../links/keys.ts'
import type { Links } from '../links/links.ts'
import type { Lists } from '../lists/lists.ts'
import type { Clock } from '../platform/clock.ts'
import type { Database } from '../platform/database.ts'
import type { Log } from '../platform/log.ts'
import type { Profiles } from '../profiles/door.ts'
import type { Sends } from '../sends/sends.ts'
import type { SettingsCache } from '../settings/settings.ts'
import type { Templates } from '../templates/templates.ts'

/** What the hosted pages work with. */
export interface PageParts {
  config: Pick<Config, 'publicUrl' | 'from' | 'dataDir'>
  db: Database
  clock: Clock
  log: Log
  settings: SettingsCache
  signingKeys: SigningKeys
  links: Links
  profiles: Pick<Profiles, 'change' | 'changeIn'>
  refusals: Refusals
  lists: Pick<Lists, 'find' | 'ensure' | 'byIds'>
  templates: Pick<Templates, 'byName' | 'byNames' | 'byId' | 'save'>
  sends: Pick<Sends, 'sendIdOf'>
}
