import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { TSchema } from 'typebox'
import type { Endpoints } from './endpoints.ts'
import { catalogue } from './errors.ts'
import { inWords, openApiDocument } from './openapi.ts'

/**
 * The reference in a browser: `/docs` for people, `/openapi.json` for programs, and `/` leading there. One page of
 * plain HTML, made at start: no scripts, nothing fetched from elsewhere, so the policy can forbid everything.
 */
export function registerDocs(app: FastifyInstance, endpoints: Endpoints, version: string, publicUrl: string): void {
  const document = openApiDocument(endpoints, version, publicUrl)
  const json = JSON.stringify(document)
  const reference = page('Fairlead API', referenceOf(endpoints, document.info.description, publicUrl))
  const front = page(
    'Fairlead',
    '<h1>Fairlead</h1><p>This host serves an email API: <a href="/docs">reference</a>.</p>',
  )

  app.get('/openapi.json', (_request, reply) =>
    reply.header('Content-Type', 'application/json; charset=utf-8').send(json),
  )
  app.get('/docs', (_request, reply) => html(reply, reference))
  app.get('/', (_request, reply) => html(reply, front))
}

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 3rem }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { overflow-x: auto; padding: 1rem; border: 1px solid #8886; border-radius: .4rem }
details { border: 1px solid #8886; border-radius: .4rem; margin: .6rem 0; padding: .6rem 1rem }
summary { cursor: pointer }
summary b { display: inline-block; min-width: 4.5rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
`

const policy =
  `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const html = (reply: FastifyReply, body: string) =>
  reply
    .headers({
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policy,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    })
    .send(body)

const page = (title: string, body: string) =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
  `<title>${title}</title><style>${style}</style></head><body>${body}</body></html>\n`

function referenceOf(endpoints: Endpoints, description: string, publicUrl: string): string {
  const sections = Object.entries(endpoints).map(
    ([path, endpoint]) =>
      `<h2 id="${text(path)}">/${text(path)}</h2>${(['get', 'post', 'delete'] as const)
        .map((method) => {
          const operation = endpoint[method]
          if (!operation) return ''
          return `<details><summary><b>${method.toUpperCase()}</b> ${text(operation.summary)}</summary>${parametersOf(
            operation.params,
          )}</details>`
        })
        .join('')}`,
  )
  const errors = Object.entries(catalogue).map(
    ([code, { status, meaning }]) => `<tr><td>${code}<td>${status}<td>${text(meaning)}</tr>`,
  )
  return (
    `<h1>Fairlead API</h1><p><a href="/openapi.json">OpenAPI document</a> · base address <code>${text(publicUrl)}</code></p>` +
    prose(description) +
    `<pre>${text(example(publicUrl))}</pre>` +
    `<nav><p>Endpoints: ${Object.keys(endpoints)
      .map((path) => `<a href="#${text(path)}">${text(path)}</a>`)
      .join(', ')} · <a href="#errors">errors</a></p></nav>` +
    sections.join('') +
    `<h2 id="errors">Errors</h2><p>An error body has exactly two keys: <code>error</code> and <code>errormsg</code>.</p>` +
    `<div class="wide"><table><tr><th>error<th>HTTP<th>Meaning</tr>${errors.join('')}</table></div>`
  )
}

const example = (publicUrl: string) => `json='{"id":"ada@example.com"}'
sig=$(printf %s "$SECRET$(printf '%s\\n' "$KEY" json "$json" | LC_ALL=C sort | tr -d '\\n')" | md5sum | cut -d' ' -f1)
curl -G '${publicUrl}/user' -d api_key="$KEY" -d format=json --data-urlencode json="$json" -d sig="$sig"`

function parametersOf(schema: TSchema): string {
  const { properties = {}, required = [] } = schema as {
    properties?: Record<string, TSchema & { description?: string }>
    required?: string[]
  }
  const rows = Object.entries(properties).map(
    ([name, property]) =>
      `<tr><td><code>${text(name)}</code>${required.includes(name) ? ' *' : ''}<td>${text(inWords(property))}` +
      `<td>${prose(property.description ?? '')}</tr>`,
  )
  if (rows.length === 0) return '<p>No parameters.</p>'
  return `<div class="wide"><table><tr><th>Parameter<th>Type<th>Meaning</tr>${rows.join('')}</table></div><p>* required</p>`
}

/** Paragraphs, **strong** and `code`: all the Markdown that descriptions use. */
const prose = (markdown: string) =>
  markdown === ''
    ? ''
    : `<p>${text(markdown)
        .replace(/\n\n/g, '</p><p>')
        .replace(/\n/g, '<br>')
        .replace(/\*\*(.+?)\*\*/g, '<strong>$1</strong>')
        .replace(/`(.+?)`/g, '<code>$1</code>')}</p>`

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const text = (plain: string) => plain.replace(/[&<>"]/g, (character) => ENTITIES[character] as string)
