import { lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'

/**
 * Where postbacks may go. A URL in a setting must not become a way into the network behind Fairlead, so addresses that
 * are not public are refused, at the moment of connecting: a name that changes its address in between gains nothing.
 * The one exception is this machine itself, named as such (`localhost`, `127.0.0.1`, `[::1]`), while Fairlead too is
 * reached by such a name: somebody is trying things out on one machine.
 */
export interface TargetPolicy {
  /** Why a URL is refused before anything is looked up; null: it may be tried. */
  problemWith(url: URL): string | null
  /** For the socket: resolves names and refuses addresses that are not public. */
  lookup: LookupFunction
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

export function createTargetPolicy(publicUrl: string): TargetPolicy {
  const atHome = LOOPBACK.has(new URL(publicUrl).hostname)
  const allowsHost = (host: string) => atHome && LOOPBACK.has(host)
  return {
    problemWith(url) {
      if (url.protocol !== 'https:' && url.protocol !== 'http:') return `${url.protocol} is not http or https`
      const literal = url.hostname.replace(/^\[|\]$/g, '')
      if (allowsHost(url.hostname) || isIP(literal) === 0) return null
      return isPublic(literal) ? null : `${url.hostname} is not a public address`
    },
    lookup(hostname, options, callback) {
      lookup(hostname, { ...options, all: true }, (error, found) => {
        if (error) return callback(error, '', 0)
        const usable = allowsHost(hostname) ? found : found.filter(({ address }) => isPublic(address))
        const first = usable[0]
        if (!first) return callback(new Error(`${hostname} has no public address`), '', 0)
        if (options.all) callback(null, usable)
        else callback(null, first.address, first.family)
      })
    },
  }
}

const closed = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  closed.addSubnet(network, bits, 'ipv4')
}
/** IPv6 addresses that are in use on the public internet all begin so; tunnels into IPv4 do not count. */
const open6 = new BlockList()
open6.addSubnet('2000::', 3, 'ipv6')
for (const [network, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  closed.addSubnet(network, bits, 'ipv6')
}

/** Whether an IP address is one of the public internet. */
export function isPublic(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped) return isPublic(mapped)
  if (isIP(address) === 4) return !closed.check(address, 'ipv4')
  return isIP(address) === 6 && open6.check(address, 'ipv6') && !closed.check(address, 'ipv6')
}
