import { Option } from 'commander'
import PostalMime, { type Email } from 'postal-mime'
import { type CaughtSummary, listCaught, readCaught } from '../delivery/caught.ts'
import { OperatorError } from '../platform/operator-error.ts'
import { wholeNumber } from './arguments.ts'
import { requireConfig } from './connect.ts'
import { minute, tableLines, visible } from './table.ts'
import type { CliCommand } from './terminal.ts'
import { withDatabase } from './with-database.ts'

const WHAT = ['html', 'text', 'links', 'raw'] as const

/** `fairlead mail list|show`: the mail that was caught here while there is no relay. */
export const command: CliCommand = {
  register(program, terminal) {
    const group = program.command('mail').description('mail caught here while FAIRLEAD_SMTP_URL is not set: list, show')

    group
      .command('list')
      .description('list caught mail, newest first')
      .option('--to <address>', 'only mail to this address')
      .option('--limit <number>', 'at most so many', wholeNumber, 20)
      .option('--json', 'one JSON object a line')
      .addHelpText('after', '\nExample:\n  npx fairlead mail list --to ada@example.com')
      .action(async (options: { to?: string; limit: number; json?: boolean }) => {
        const config = requireConfig(terminal.env)
        const mails = await withDatabase(config, (db) => listCaught(db, options.limit, options.to ?? null))
        if (options.json) for (const mail of mails) terminal.print(JSON.stringify(mail))
        else if (mails.length > 0) for (const line of table(mails)) terminal.print(line)
        else if (config.relays.length > 0 || config.direct)
          terminal.print('No mail was caught: it goes out through FAIRLEAD_SMTP_URL')
        else terminal.print('No mail was caught yet')
      })

    const show = group
      .command('show')
      .argument('[id]', 'number in "fairlead mail list"; the newest when left out', wholeNumber)
      .description('show a caught message: its headers, its text, and the links in it')
      .addHelpText('after', '\nExamples:\n  npx fairlead mail show\n  npx fairlead mail show 7 --links')
    for (const what of WHAT) {
      const others = WHAT.filter((other) => other !== what)
      show.addOption(new Option(`--${what}`, DESCRIPTIONS[what]).conflicts(others))
    }
    show.action(async (id: number | undefined, options: { [what in (typeof WHAT)[number]]?: boolean }) => {
      const mail = await withDatabase(requireConfig(terminal.env), (db) => readCaught(db, id ?? null))
      if (!mail) {
        throw new OperatorError(id === undefined ? 'no mail was caught yet' : `there is no caught mail ${id}`)
      }
      const parsed = await PostalMime.parse(mail.raw)
      if (options.raw) terminal.print(mail.raw.toString('utf8'))
      else if (options.html) terminal.print(parsed.html ?? '')
      else if (options.text) terminal.print(parsed.text ?? '')
      else if (options.links) for (const link of linksIn(parsed)) terminal.print(link.url)
      else for (const line of reading(mail, parsed)) terminal.print(line)
    })
  },
}

const DESCRIPTIONS: { [what in (typeof WHAT)[number]]: string } = {
  html: 'only the HTML part',
  text: 'only the text part',
  links: 'only the addresses of the links, one a line',
  raw: 'everything as it came over the wire',
}

function table(mails: readonly CaughtSummary[]): string[] {
  const rows = mails.map((mail) => [
    String(mail.id),
    minute(mail.receivedAt),
    mail.to.join(', '),
    visible(mail.subject),
  ])
  return tableLines([['ID', 'RECEIVED', 'TO', 'SUBJECT'], ...rows], [0])
}

function reading(mail: CaughtSummary, parsed: Email): string[] {
  const facts: Array<[string, string | undefined]> = [
    ['From', header(parsed, 'from')],
    ['To', header(parsed, 'to')],
    ['Cc', header(parsed, 'cc')],
    ['Reply-To', header(parsed, 'reply-to')],
    ['Subject', parsed.subject],
    ['Unsubscribe', header(parsed, 'list-unsubscribe')],
    ['Received', minute(mail.receivedAt)],
  ]
  const shown = facts.filter((fact): fact is [string, string] => Boolean(fact[1]))
  const links = linksIn(parsed)
  return [
    ...shown.map(([name, value]) => `${`${name}:`.padEnd(13)}${visible(value)}`),
    '',
    (parsed.text ?? parsed.html ?? '').trim(),
    ...(links.length > 0
      ? ['', 'Links:', ...links.map((link) => `  ${link.label ? `${link.label}: ` : ''}${link.url}`)]
      : []),
  ]
}

function header(parsed: Email, name: string): string | undefined {
  const people = { from: parsed.from ? [parsed.from] : [], to: parsed.to, cc: parsed.cc, 'reply-to': parsed.replyTo }
  if (name in people) {
    return people[name as keyof typeof people]
      ?.map((one) => (one.name ? `${one.name} <${one.address}>` : one.address))
      .join(', ')
  }
  return parsed.headers.find((one) => one.key === name)?.value
}

/** Links of the HTML part with what one presses, else addresses in the text; each address once. */
function linksIn({ html, text }: Email): Array<{ url: string; label: string }> {
  const found = html
    ? [...html.matchAll(/<a\b[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')[^>]*>([\s\S]*?)<\/a>/gi)].map((match) => ({
        url: plain(match[1] ?? match[2] ?? ''),
        label: plain(match[3]!.replace(/<[^>]*>/g, ' ')),
      }))
    : [...(text ?? '').matchAll(/https?:\/\/[^\s<>"]+/g)].map(([url]) => ({ url, label: '' }))
  return [...new Map(found.map((link) => [link.url, link])).values()]
}

const CHARACTERS: { [name: string]: string } = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: ' ' }

function plain(html: string): string {
  return html
    .replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (_, name: string) => CHARACTERS[name]!)
    .replace(/\s+/g, ' ')
    .trim()
}
