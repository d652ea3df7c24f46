import { addressHashWith, loadPepper } from './account/pepper.ts'
import type { Config } from './config.ts'
import type { Clock } from './platform/clock.ts'
import type { Database } from './platform/database.ts'
import type { Log } from './platform/log.ts'
import { createProfiles, type Profiles } from './profiles/door.ts'
import { cacheSettings, type SettingsCache } from './settings/settings.ts'

/** What the machine gives to the house. */
export interface Foundations {
  config: Config
  db: Database
  clock: Clock
  log: Log
}

/** Everything that roles and commands work with: the one place where parts are put together. */
export interface Services extends Foundations {
  settings: SettingsCache
  profiles: Profiles
}

/** The composition root. */
export function createServices(foundations: Foundations): Services {
  const { config, db, clock } = foundations
  const settings = cacheSettings(db)
  const profiles = createProfiles({ db, clock, settings, hash: addressHashWith(loadPepper(config.dataDir)) })
  return { ...foundations, settings, profiles }
}
