import { Type } from 'typebox'
import type { Endpoint } from '../endpoints.ts'
import type { ApiParts } from '../parts.ts'
import { verifiedSenders } from '../verified-senders.ts'

/** `settings`: how the account is set up. Plugins call it to see whether a key and secret are right. */
export function settingsEndpoint({
  config,
  settings,
  lists,
}: Pick<ApiParts, 'config' | 'settings' | 'lists'>): Endpoint {
  return {
    get: {
      summary: 'Show the settings of the account; the cheapest way to test a key and secret',
      params: Type.Object({}),
      async handle({ apiKey }) {
        const [current, primary] = await Promise.all([settings.get(), lists.all({ isPrimary: true })])
        return {
          id: apiKey.key,
          customer_id: apiKey.key,
          name: current.sender_name,
          domains: [new URL(config.publicUrl).host],
          from_emails: verifiedSenders({ settings: current, from: config.from }),
          lists_primary: primary.map(({ name }) => name),
          timezone: current.timezone,
          beacon_image: null,
          features: { spm_enabled: false },
        }
      },
    },
  }
}
