import type { Level } from '../consent/levels.ts'
import type { Via } from '../profiles/change.ts'

/** What people read when they decide. The consent ledger keeps these texts, so they name nobody but the sender. */

export const optinWording = (sender: string): string =>
  `By turning email back on you agree that ${sender} writes to you again: news and offers as well as receipts and ` +
  `notices. You can turn it off at any time.`

/** @param off since when email has been off, as a date to read; null: it is on */
export function confirmWording(sender: string, lists: readonly string[], off: string | null): string {
  const what = lists.length > 0 ? lists.join(', ') : 'news and offers as well as receipts and notices'
  const again = off ? `You have had email switched off since ${off}; confirming switches it on again. ` : ''
  return `${again}By confirming you agree that ${sender} writes to you: ${what}. You can turn it off at any time.`
}

/** How and when email was switched off, in one sentence. */
export function howItWentOff(level: Level, via: Via | null, on: string | null): string | null {
  if (level === 'none' || !on) return null
  switch (via) {
    case 'hosted_page':
      return `You switched it off on ${on}.`
    case 'one_click':
    case 'mailto':
      return `You unsubscribed on ${on}, with the button of your mail program.`
    case 'complaint':
      return `A message was reported as spam on ${on}.`
    default:
      return `It has been off since ${on}.`
  }
}

/** A day as the page prints it: `3 May 2030`. */
export function dayIn(timeZone: string, at: Date): string {
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone }).format(at)
}
