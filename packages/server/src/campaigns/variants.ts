import { shardOfKey } from '../platform/shard.ts'

/**
 * Which content somebody gets: 0 the campaign's own, 1 and up its variants. It follows from campaign and person alone,
 * so it is the same in every process and at every repetition. Of those who take part in the comparison, own content
 * and variants get equal shares; everybody else gets the campaign's own.
 *
 * @param testPercent share of the people who take part
 */
export function variantFor(campaignId: number, profileId: number, variants: number, testPercent: number): number {
  if (variants === 0) return 0
  const takesPart = draw(`part:${campaignId}:${profileId}`) < testPercent / 100
  return takesPart ? Math.floor(draw(`variant:${campaignId}:${profileId}`) * (variants + 1)) : 0
}

/** Where somebody stands in a sending that is spread over time: 0 to just under 1. */
export const placeFor = (campaignId: number, profileId: number): number => draw(`place:${campaignId}:${profileId}`)

/** An even number from 0 to just under 1. Three draws of six bits; the shard's hash spreads its low bits well. */
function draw(text: string): number {
  return ((shardOfKey('a', text) * 64 + shardOfKey('b', text)) * 64 + shardOfKey('c', text)) / 262_144
}
