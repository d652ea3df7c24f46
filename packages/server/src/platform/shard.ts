/**
 * Rows about people are spread over 64 shards. The shard is the low six bits of every id that belongs to a person,
 * so an id that comes back from outside names its shard without a look-up. On one machine this costs two bytes a row;
 * on a Citus cluster it is the distribution column.
 */
export const SHARDS = 64

/**
 * The shard of a lookup key: a hash of its text, so that a key can be found knowing nothing else. FNV-1a over UTF-16
 * code units with MurmurHash3's last step, which brings every bit to bear on the few that are kept. It is asked several
 * times for each person in each batch, where a cryptographic hash would cost more than the row.
 */
export function shardOfKey(kind: string, value: string): number {
  let hash = mixed(mixed(0x811c9dc5, kind), `\0${value}`)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) & (SHARDS - 1)
}

function mixed(seed: number, text: string): number {
  let hash = seed
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash
}

/** The shard that an id carries. */
export function shardOfId(id: number): number {
  return id % SHARDS
}
