import type { Endpoints } from '../endpoints.ts'
import type { ApiParts } from '../parts.ts'
import { createPeople } from '../people.ts'
import { emailEndpoint } from './email.ts'
import { listEndpoint } from './list.ts'
import { purchaseEndpoint } from './purchase.ts'
import { sendEndpoint } from './send.ts'
import { settingsEndpoint } from './settings.ts'
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
    purchase: purchaseEndpoint(parts),
    email: emailEndpoint({ ...parts, people }, send.post),
    settings: settingsEndpoint(parts),
  }
}
