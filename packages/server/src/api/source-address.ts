import { BlockList, isIP } from 'node:net'

/**
 * The account's allowlist of source addresses: single addresses and CIDR ranges, IPv4 and IPv6.
 * @throws RangeError naming an entry that is neither
 */
export function createAddressAllowlist(entries: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', prefix] = entry.trim().split('/')
    const family = isIP(address)
    const bits = family === 4 ? 32 : 128
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1
    if (family === 0 || length < 0 || length > bits) {
      throw new RangeError(`Not an address or CIDR range: ${entry}`)
    }
    list.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6')
  }
  return (address) => {
    const mapped = address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address
    const family = isIP(mapped)
    return family !== 0 && list.check(mapped, family === 4 ? 'ipv4' : 'ipv6')
  }
}
