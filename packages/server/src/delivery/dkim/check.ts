import { domainToASCII } from 'node:url'
import { type Finding, note, ok, wrong } from '../finding.ts'
import { type DkimKey, dkimRecord } from './key.ts'

/** Asks the DNS for TXT records, each in its pieces; rejects with the `code` of node:dns. */
export type ResolveTxt = (name: string) => Promise<string[][]>

/** Codes that mean: there is no such record. */
const ABSENT = ['ENOTFOUND', 'ENODATA']

/** Whether mail from a sender is signed, and whether receivers find the keys (RFC 6376 §3.6.1). */
export async function checkDkim(keys: readonly DkimKey[], from: string, resolve: ResolveTxt): Promise<Finding[]> {
  if (keys.length === 0) return [note('DKIM', 'FAIRLEAD_DKIM names no key: signing is left to the relay')]
  const domain = domainToASCII(from.slice(from.lastIndexOf('@') + 1)).toLowerCase()
  const signed = keys.some((key) => key.domain === domain)
    ? []
    : [note('DKIM', `no key is of ${domain}, the domain of the sender: its mail is not signed here`)]
  return [...signed, ...(await Promise.all(keys.map((key) => checkRecord(key, resolve))))]
}

async function checkRecord(key: DkimKey, resolve: ResolveTxt): Promise<Finding> {
  const { name, value } = dkimRecord(key)
  let records: string[]
  try {
    records = (await resolve(name)).map((pieces) => pieces.join(''))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    if (ABSENT.includes(code)) return wrong('DKIM', `${name} has no TXT record; it should be: ${value}`)
    return note('DKIM', `the DNS could not be asked (${code}); the TXT record of ${name} should be: ${value}`)
  }
  const found = records.filter((record) => /^\s*v\s*=\s*DKIM1|(^|;)\s*p\s*=/i.test(record))
  if (found.length === 0) return wrong('DKIM', `${name} has no DKIM record; it should be: ${value}`)
  if (found.length > 1) return wrong('DKIM', `${name} has ${found.length} DKIM records; receivers may take any of them`)
  const [published, wanted] = [tagsOf(found[0]!), tagsOf(value)]
  if (published.p === '') return wrong('DKIM', `the key at ${name} was revoked: its p= is empty`)
  if ((published.k ?? 'rsa') !== wanted.k || published.p !== wanted.p) {
    return wrong('DKIM', `${name} publishes another key; it should be: ${value}`)
  }
  if (published.t?.split(':').includes('y')) return note('DKIM', `${name} fits, but says t=y: receivers ignore a test`)
  return ok('DKIM', `${name} fits the key (${key.algorithm})`)
}

/** The tags of a record (RFC 6376 §3.2); white space inside values means nothing here. */
function tagsOf(record: string): { [tag: string]: string } {
  const tags = record.split(';').flatMap((part) => {
    const at = part.indexOf('=')
    return at === -1 ? [] : [[part.slice(0, at).trim(), part.slice(at + 1).replace(/\s+/g, '')] as const]
  })
  return Object.fromEntries(tags)
}
