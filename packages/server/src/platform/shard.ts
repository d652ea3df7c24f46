import { hash } from 'node:crypto'

/**
 * Rows about people are spread over 64 shards. The shard is the low six bits of every id that belongs to a person,
 * so an id that comes back from outside names its shard without a look-up. On one machine this costs two bytes a row;
 * on a Citus cluster it is the distribution column.
 */
export const SHARDS = 64

/** The shard of a lookup key: a hash of its text, so that a key can be found knowing nothing else. */
export function shardOfKey(kind: string, value: string): number {
  return hash('sha1', `${kind}\0${value}`, 'buffer')[0]! & (SHARDS - 1)
}

/** The shard that an id carries. */
export function shardOfId(id: number): number {
  return id % SHARDS
}
