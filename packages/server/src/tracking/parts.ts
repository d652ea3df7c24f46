import type { PrepareParts } from '../delivery/prepare.ts'
import type { PageParts } from '../pages/parts.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { Services } from '../services.ts'

/** What tracked links, pixels and messages in the browser work with. */
export type TrackingParts = PageParts &
  Pick<Services, 'lists' | 'templates' | 'links' | 'profiles' | 'sends'> & {
    metrics: Metrics
    histories: PrepareParts['histories']
  }
