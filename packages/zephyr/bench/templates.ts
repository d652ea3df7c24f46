/** One realistic email and one subject line in three languages, made to give the same output. */
export interface Page {
  readonly zephyr: string
  readonly liquid: string
  readonly handlebars: string
}

const STYLE = `<style>
body { margin: 0; padding: 0; background: #f4f1ea; font-family: Georgia, serif }
.wrap { max-width: 600px; margin: 0 auto; background: #fff }
.btn { display: inline-block; padding: 12px 24px; background: #1d4e68; color: #fff; text-decoration: none }
@media (max-width: 600px) { .col { display: block; width: 100% } }
</style>`

const ROW_STYLE =
  'font-family: Georgia, serif; font-size: 15px; line-height: 22px; color: #333333; padding: 12px 18px; border-bottom: 1px solid #e4ded2;'

/** Static table markup of the kind that fills most mails. */
function block(title: string, text: string): string {
  return `<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr><td style="${ROW_STYLE}"><h2 style="margin: 0 0 8px; font-size: 19px">${title}</h2><p style="margin: 0">${text}</p></td></tr></table>\n`
}

const PROSE =
  'The tide tables for the coming week are printed below. Mind the spring tides around the full moon, when the bar is passable only for an hour on either side of high water, and keep an eye on the forecast before you cast off. '

const FILLER = Array.from({ length: 21 }, (_, i) => block(`Harbour notice ${i + 1}`, PROSE.repeat(2))).join('')

interface Dialect {
  value(path: string): string
  when(path: string, yes: string, no: string): string
  each(list: string, item: string, body: string): string
}

function page(d: Dialect): string {
  const item = [
    `<tr><td style="${ROW_STYLE}"><a href="${d.value('c.url')}" style="color: #1d4e68"><img src="${d.value('c.image')}" width="120" alt="${d.value('c.title')}"></a></td>`,
    `<td style="${ROW_STYLE}"><a href="${d.value('c.url')}"><b>${d.value('c.title')}</b></a><br>${d.value('c.description')}<br>`,
    `${d.when('c.sale', `<span style="color: #b00">Now ${d.value('c.price')}</span>`, `<span>${d.value('c.price')}</span>`)}</td></tr>\n`,
  ].join('')
  return [
    `<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>${d.value('headline')}</title>\n${STYLE}\n</head>\n<body><div class="wrap">\n`,
    `<p style="${ROW_STYLE}">${d.when('first_name', `Ahoy ${d.value('first_name')}`, 'Ahoy sailor')}, here is what came in on the tide.</p>\n`,
    `${d.when('vip', `<p>As a ${d.value('tier')} member you have ${d.value('points')} points.</p>\n`, '<p>Join the crew.</p>\n')}`,
    `<table role="presentation" width="100%">\n${d.each('content', 'c', item)}</table>\n`,
    FILLER,
    `<p style="${ROW_STYLE}"><a class="btn" href="https://shop.example/?u=${d.value('id')}">To the shop</a></p>\n`,
    `<p style="${ROW_STYLE}">Sent to ${d.value('email')}. <a href="${d.value('optout')}">Stop these messages</a> or <a href="${d.value('view')}">read in the browser</a>.</p>\n`,
    `<img src="${d.value('beacon')}" width="1" height="1" alt="">\n</div></body></html>\n`,
  ].join('')
}

const zephyr: Dialect = {
  value: (path) => `{${path}}`,
  when: (path, yes, no) => `{if ${path}}${yes}{else}${no}{/if}`,
  each: (list, item, body) => `{foreach ${list} as ${item}}${body}{/foreach}`,
}

const liquid: Dialect = {
  value: (path) => `{{${path}}}`,
  when: (path, yes, no) => `{% if ${path} %}${yes}{% else %}${no}{% endif %}`,
  each: (list, item, body) => `{% for ${item} in ${list} %}${body}{% endfor %}`,
}

/** Unescaped output (triple braces), as in mail; `each` changes the context, which is its natural form. */
const handlebars: Dialect = {
  value: (path) => `{{{${path.replace(/^c\./, '')}}}}`,
  when: (path, yes, no) => `{{#if ${path.replace(/^c\./, '')}}}${yes}{{else}}${no}{{/if}}`,
  each: (list, _item, body) => `{{#each ${list}}}${body}{{/each}}`,
}

export const EMAIL: Page = { zephyr: page(zephyr), liquid: page(liquid), handlebars: page(handlebars) }

function subject(d: Dialect): string {
  return `${d.when('first_name', `${d.value('first_name')}, `, '')}${d.value('headline')}: ${d.when('vip', 'early access for our crew', 'new on deck')} this week at the harbour, with ${d.value('count')} offers picked for ${d.value('town')} and around`
}

export const SUBJECT: Page = { zephyr: subject(zephyr), liquid: subject(liquid), handlebars: subject(handlebars) }

export const DATA = {
  headline: 'Spring tide sale',
  first_name: 'Ada',
  vip: true,
  tier: 'gold',
  points: 120,
  count: 10,
  town: 'Boston',
  id: '6620f0aa0000000000000001',
  email: 'ada@example.org',
  optout: 'https://l.example/oc/m1/aa?p=1',
  view: 'https://l.example/view/m1/aa',
  beacon: 'https://l.example/b/m1.gif',
  content: Array.from({ length: 10 }, (_, i) => ({
    url: `https://shop.example/item/${i}`,
    image: `https://img.example/${i}.jpg`,
    title: `Item number ${i}`,
    description: 'Hand made on the quay, tested in salt water, and sent in a box that fits through the letter slot.',
    sale: i % 3 === 0,
    price: `$${10 + i}.50`,
  })),
}
