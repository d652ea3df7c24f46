/**
 * A small website that meets people who opted out. It signs them up through the API; when Fairlead answers that they
 * left, it asks "You are opted out. Do you wish to opt back in?", and takes a yes in two ways: at once, or by a mail
 * that only the owner of the mailbox can answer. See README.md.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'

const { FAIRLEAD_URL = 'http://127.0.0.1:8080', KEY, SECRET, PORT = '3000' } = process.env
if (!KEY || !SECRET) stop('set KEY and SECRET to a key pair of Fairlead: npx fairlead key list --secrets')

const { createSailthruClient } = createRequire(import.meta.url)('sailthru-client')
const client = createSailthruClient(KEY, SECRET, { apiUrl: `${FAIRLEAD_URL.replace(/\/+$/, '')}/` })
client.disableLogging()

// ---- What is asked of Fairlead -------------------------------------------------------------------------------------

const LISTS = ['Tide tables', 'Harbour news']
const WELCOME = 'Welcome aboard'
/** This name, and no other, reaches people who opted out. */
const OPT_IN = 'Opt-in Confirm'

/** What people agree to when they come back at once. A changed text gets a new name, so that the record stays true. */
const WORDING = { id: 'website-back-1', text: 'Yes, switch email back on and sign me up.' }

/** Codes of a send to somebody who left: everything, this kind of message, or all but transactional mail. */
const LEFT = new Set([32, 33, 37])
const LEFT_THIS_TEMPLATE = 33
const BAD_ADDRESS = 11
/** The mailbox refuses mail, or we may not write to it: nothing that this page could change. */
const UNREACHABLE = new Set([31, 34, 35])

interface Answer {
  /** Code of the error; null when all went well, 0 when there was no answer. */
  error: number | null
  body: Record<string, unknown>
}

function call(method: 'apiGet' | 'apiPost', endpoint: string, params: object): Promise<Answer> {
  return new Promise((resolve) => {
    client[method](endpoint, params, (failure: { error?: number } | null, body: Answer['body']) =>
      resolve({ error: failure ? (failure.error ?? 0) : null, body }),
    )
  })
}

interface Visitor {
  email: string
  list: string
  ip: string
  userAgent: string
}

/** Welcomes first: the answer tells whether the person left, and nothing has changed yet when it does. */
async function signUp({ email, list }: Visitor): Promise<string> {
  const welcome = await call('apiPost', 'send', { template: WELCOME, email, vars: { list } })
  if (welcome.error !== null) return refused(welcome.error, email, list)
  const saved = await call('apiPost', 'user', { id: email, key: 'email', lists: { [list]: 1 } })
  return saved.error === null ? welcomed(email, list) : refused(saved.error, email, list)
}

/** Way one: the person said yes here and now. The consent object records in front of which words. */
async function backAtOnce({ email, list, ip, userAgent }: Visitor): Promise<string> {
  const { body, error } = await call('apiPost', 'user', {
    id: email,
    key: 'email',
    optout_email: 'none',
    // Somebody may have left only the welcome mails; 1 is back in.
    optout_templates: { [WELCOME]: 1 },
    lists: { [list]: 1 },
    consent: {
      wording_id: WORDING.id,
      at: new Date().toISOString(),
      ip,
      user_agent: userAgent,
      url: '/',
      method: 'website',
    },
  })
  if (error !== null) return refused(error, email, list)
  // Accounts can ask for a confirmation by mail even so (setting api_optin_policy).
  if (body.pending) return mailed(email)
  return signUp({ email, list, ip, userAgent })
}

/** Way two: a link in the person's own mailbox decides, which is proof that it was not somebody else. */
async function backByMail({ email, list }: Visitor): Promise<string> {
  const { error } = await call('apiPost', 'send', { template: OPT_IN, email, vars: { signup_lists: [list] } })
  return error === null ? mailed(email) : refused(error, email, list, false)
}

/** Makes the templates that are not there yet. */
async function prepare(): Promise<void> {
  const templates = {
    [WELCOME]: {
      subject: 'Welcome aboard',
      content_html:
        '<p>You are signed up for <b>{h(list)}</b>.</p><p><a href="{optout_confirm_url}">Stop these mails</a></p>',
    },
    [OPT_IN]: {
      subject: 'Do you want our mail again?',
      content_html: `<p>You asked on our website to get our mail again. Nothing changes unless you confirm it:</p>
<p><a href="{if signup_lists}{signup_confirm(signup_lists)}{else}{signup_confirm()}{/if}">Yes, write to me again</a></p>`,
    },
  }
  for (const [template, content] of Object.entries(templates)) {
    const found = await call('apiGet', 'template', { template })
    if (found.error === 0) stop(`Fairlead does not answer at ${FAIRLEAD_URL}: ${found.body}`)
    if (found.error === null) continue
    const made = await call('apiPost', 'template', { template, ...content })
    if (made.error !== null) stop(`Fairlead refuses the template ${template}: ${made.body.errormsg}`)
  }
}

// ---- The page ------------------------------------------------------------------------------------------------------

function refused(error: number, email: string, list: string, mayAsk = true): string {
  if (error === BAD_ADDRESS) return form({ email, list, problem: 'This does not look like an email address.' })
  if (UNREACHABLE.has(error)) {
    return form({ email, list, problem: 'We cannot write to this address. Please use another one.' })
  }
  if (LEFT.has(error) && mayAsk) return question(email, list, error)
  if (LEFT.has(error)) {
    return form({
      email,
      list,
      problem: 'We have written to you several times today already. Please try again tomorrow.',
    })
  }
  return form({ email, list, problem: 'Something went wrong on our side. Please try again in a minute.' })
}

function form({
  email = '',
  list = LISTS[0],
  problem = '',
}: {
  email?: string
  list?: string
  problem?: string
}): string {
  const choices = LISTS.map((name) => {
    const checked = name === list ? ' checked' : ''
    return `<label class="choice"><input type="radio" name="list" value="${h(name)}"${checked}> ${h(name)}</label>`
  })
  const told = problem ? `<p class="problem" id="problem" role="alert">${h(problem)}</p>` : ''
  const invalid = problem ? ' aria-invalid="true" aria-describedby="problem"' : ''
  return page(
    problem ? 'Please look again' : 'Mail from the harbour',
    `<p>Once a week, and you can leave at any time.</p>${told}
<form method="post" action="/signup">
<label for="email">Email address</label>
<input id="email" name="email" type="email" autocomplete="email" required value="${h(email)}"${invalid}>
<fieldset><legend>What would you like to get?</legend>${choices.join('')}</fieldset>
<button>Sign up</button>
</form>`,
  )
}

function question(email: string, list: string, error: number): string {
  const hidden = `<input type="hidden" name="email" value="${h(email)}"><input type="hidden" name="list" value="${h(list)}">`
  // The mailed link switches email back on; it does not bring back one kind of message that was switched off.
  const byMail =
    error === LEFT_THIS_TEMPLATE
      ? ''
      : `<form method="post" action="/mail">${hidden}<button class="second">Mail me a link to confirm</button></form>`
  return page(
    'You are opted out. Do you wish to opt back in?',
    `<p>You asked us before to stop writing to <b>${h(email)}</b>. We keep to that until you say otherwise.</p>
<form method="post" action="/back">${hidden}<button>${h(WORDING.text)}</button></form>
${byMail}
<p><a href="/">No, leave everything as it is</a></p>`,
  )
}

const welcomed = (email: string, list: string) =>
  page(
    'Welcome aboard',
    `<p>You get <b>${h(list)}</b> from now on, at <b>${h(email)}</b>.</p><p><a href="/">Back</a></p>`,
  )

const mailed = (email: string) =>
  page(
    'Look into your mailbox',
    `<p>We have sent a link to <b>${h(email)}</b>. Email comes back when you follow it.</p><p><a href="/">Back</a></p>`,
  )

const STYLE = `body { margin: 0; background: #f2f5f7; color: #1b2a33; font: 1.0625rem/1.55 system-ui, sans-serif }
main { max-width: 32rem; margin: 8vh auto; padding: 2rem; background: #fff; border-radius: .5rem; box-shadow: 0 1px 4px #0002 }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.25 }
label, legend { display: block; font-weight: 600 }
fieldset { margin: 1.25rem 0; padding: 0; border: 0 }
.choice { padding: .35rem 0; font-weight: 400 }
input[type=email] { box-sizing: border-box; width: 100%; padding: .6rem; font: inherit; border: 1px solid #6b7d88; border-radius: .25rem }
button { width: 100%; margin: .4rem 0; padding: .75rem; font: inherit; font-weight: 600; color: #fff; background: #0b5c7d; border: 1px solid #0b5c7d; border-radius: .25rem; cursor: pointer }
button.second { color: #0b5c7d; background: #fff }
a { color: #0b5c7d }
.problem { padding: .6rem .8rem; color: #8a1c10; background: #fdf0ee; border-radius: .25rem }
:focus-visible { outline: 3px solid #e0a100; outline-offset: 2px }`

function page(title: string, content: string): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${h(title)} – Harbour Notes</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${h(title)}</h1>
${content}
</main>
</body>
</html>
`
}

function h(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (character) => names[character]!)
}

// ---- The server ----------------------------------------------------------------------------------------------------

const ACTIONS: Record<string, (visitor: Visitor) => Promise<string>> = {
  '/signup': signUp,
  '/back': backAtOnce,
  '/mail': backByMail,
}
const MOST_BYTES = 10_000

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://site')
  const action = ACTIONS[pathname]
  if (request.method === 'POST' && action) return answer(response, 200, await action(await visitorOf(request)))
  if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, page('Not like this', ''))
  if (pathname === '/') return answer(response, 200, form({}))
  return answer(response, 404, page('There is nothing here', '<p><a href="/">To the start</a></p>'))
}

function answer(response: ServerResponse, status: number, html: string): void {
  const style = createHash('sha256').update(STYLE).digest('base64')
  response
    .writeHead(status, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src 'sha256-${style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
    })
    .end(html)
}

async function visitorOf(request: IncomingMessage): Promise<Visitor> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk
    if (body.length > MOST_BYTES) throw new Error('the form is too large')
  }
  const fields = new URLSearchParams(body)
  const list = fields.get('list') ?? ''
  return {
    email: (fields.get('email') ?? '').trim(),
    list: LISTS.includes(list) ? list : LISTS[0]!,
    ip: request.socket.remoteAddress ?? '',
    userAgent: request.headers['user-agent'] ?? '',
  }
}

function stop(problem: string): never {
  console.error(problem)
  process.exit(1)
}

await prepare()
const server = createServer((request, response) => {
  serve(request, response).catch(() => answer(response, 400, page('That did not work', '<p><a href="/">Again</a></p>')))
})
server.on('error', (error) => stop(error.message))
server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`the website is at http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
