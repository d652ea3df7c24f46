import { type ApiKeyCache, cacheApiKeys } from './account/api-keys.ts'
import { addressHashWith, loadPepper } from './account/pepper.ts'
import { BELONGINGS } from './belongings.ts'
import { type Campaigns, createCampaigns } from './campaigns/campaigns.ts'
import { createRepeats, isTemplateOfCampaigns, type Repeats } from './campaigns/repeats.ts'
import type { Config } from './config.ts'
import { createRefusals, type Refusals } from './consent/refusals.ts'
import { createFlows, type Flows } from './flows/flows.ts'
import { loadSigningKeys, type SigningKeys } from './links/keys.ts'
import { createLinks, type Links } from './links/links.ts'
import { createLists, type Lists } from './lists/lists.ts'
import type { Clock } from './platform/clock.ts'
import type { Database, Queryable } from './platform/database.ts'
import type { Log } from './platform/log.ts'
import { createMetrics, type Metrics } from './platform/metrics.ts'
import { createWaker, type Waker } from './platform/wake.ts'
import { createFromSignals } from './postbacks/from-signals.ts'
import { createProfiles, type Profiles } from './profiles/door.ts'
import { createPurchases, type Purchases } from './purchases/purchases.ts'
import { hasScheduledSends } from './sends/read.ts'
import { createSendIds } from './sends/send-id.ts'
import { createSends, type Sends } from './sends/sends.ts'
import { cacheSettings, type SettingsCache } from './settings/settings.ts'
import { HOST_FUNCTIONS } from './templates/compile.ts'
import { createTemplates, type Templates } from './templates/templates.ts'

/** What the machine gives to the house. */
export interface Foundations {
  config: Config
  db: Database
  clock: Clock
  log: Log
  /** Where to count; unset: nowhere that anybody looks. */
  metrics?: Metrics
}

/** Everything that roles and commands work with: the one place where parts are put together. */
export interface Services extends Foundations {
  metrics: Metrics
  apiKeys: ApiKeyCache
  settings: SettingsCache
  signingKeys: SigningKeys
  links: Links
  waker: Waker
  profiles: Profiles
  refusals: Refusals
  lists: Lists
  templates: Templates
  sends: Sends
  purchases: Purchases
  campaigns: Campaigns
  repeats: Repeats
  flows: Flows
}

/** The composition root. */
export async function createServices(foundations: Foundations): Promise<Services> {
  const { config, db, clock, metrics = createMetrics() } = foundations
  const signingKeys = await loadSigningKeys(db, clock)
  const links = createLinks({ keys: signingKeys, publicUrl: config.publicUrl, clock })
  const hash = addressHashWith(loadPepper(config.dataDir))
  const apiKeys = cacheApiKeys(db)
  const settings = cacheSettings(db)
  const waker = createWaker(db)
  const wake = () => waker.wake('delivery')
  const lists = createLists({ db, clock })
  const profiles = createProfiles({ db, clock, settings, lists, hash, belongings: BELONGINGS })
  const refusals = createRefusals({ db, profiles, hash })
  const templates = createTemplates({ db, clock, hostFunctions: HOST_FUNCTIONS, isInUse: isTemplateInUse })
  const sends = createSends({
    db,
    clock,
    settings,
    templates,
    profiles,
    refusals,
    ids: createSendIds(signingKeys),
    wake,
  })
  const { messageIdOf } = sends
  const purchases = createPurchases({ db, clock, settings, profiles, templates, hash, messageIdOf, wake })
  const wakeCampaigns = () => waker.wake('campaigns')
  const campaigns = createCampaigns({ db, clock, profiles, wake: wakeCampaigns, wakeDelivery: wake })
  const repeats = createRepeats({ db, clock, settings, wake: wakeCampaigns })
  const reactions = [createFromSignals(sends)]
  const flows = createFlows({ ...foundations, metrics, settings, lists, templates, profiles, reactions })
  return {
    ...foundations,
    metrics,
    apiKeys,
    settings,
    signingKeys,
    links,
    waker,
    profiles,
    refusals,
    lists,
    templates,
    sends,
    purchases,
    campaigns,
    repeats,
    flows,
  }
}

/** What would miss a template that goes away. */
const isTemplateInUse = async (q: Queryable, templateId: number) =>
  (await hasScheduledSends(q, templateId)) || isTemplateOfCampaigns(q, templateId)
