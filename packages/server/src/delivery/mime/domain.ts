import { domainToASCII } from 'node:url'

/** A domain as A-labels (RFC 5890 §2.3.2.1), which every server takes; empty for text that is no domain. */
export function asciiDomain(domain: string): string {
  // Nearly all are ASCII already, and case and all are kept then.
  return /^[!-~]*$/.test(domain) ? domain : domainToASCII(domain)
}
