import type { Endpoints } from '../endpoints.ts'
import type { ApiParts } from '../parts.ts'
import { createPeople } from '../people.ts'
import { blastEndpoint } from './blast.ts'
import { blastRepeatEndpoint } from './blast-repeat.ts'
import { emailEndpoint } from './email.ts'
import { listEndpoint } from './list.ts'
import { purchaseEndpoint } from './purchase.ts'
import { sendEndpoint } from './send.ts'
import { settingsEndpoint } from './settings.ts'
import { statsEndpoint } from './stats.ts'
import { templateEndpoint } from './template.ts'
import { userEndpoint } from './user.ts'

/** Every endpoint of the API, in the order in which the reference shows them. */
export function apiEndpoints(parts: ApiParts): Endpoints {
  const people = createPeople(parts.db)
  const send = sendEndpoint(parts)
  return {
    user: userEndpoint({ ...parts, people }),
    send,
    template: templateEndpoint(parts),
    list: listEndpoint(parts),
    blast: blastEndpoint(parts),
    blast_repeat: blastRepeatEndpoint(parts),
    stats: statsEndpoint(parts),
    purchase: purchaseEndpoint(parts),
    email: emailEndpoint({ ...parts, people }, send.post),
    settings: settingsEndpoint(parts),
  }
}
