import { call } from './sailthru.ts'

/** A page of 20 KB with ten links and a few things that are different for everybody. */
export function content(): string {
  const filler = 'Thank you for reading to the end of a line that is here to be as long as such lines are.'
  const item = (n: number) =>
    `<tr><td><a href="https://shop.example.org/item/${n}?from=mail">Item ${n} for {first_name}</a></td>` +
    `<td>{if city == "Lisbon"}Collect it today{else}Delivered to {city}{/if}</td></tr>\n<tr><td>${`${filler}\n`.repeat(20)}</td></tr>\n`
  const items = Array.from({ length: 10 }, (_, n) => item(n)).join('')
  return `<!DOCTYPE html><html><body><h1>Hello {first_name}</h1><table>\n${items}</table>
<p><a href="{optout_confirm_url}">Stop these messages</a></p></body></html>`
}

/** Sends the page to a list of `addPeople`, at once and with tracked links. @returns its `blast_id` */
export async function startCampaign(
  fairlead: { url: string; key: string; secret: string },
  name: string,
  listId = 1,
): Promise<unknown> {
  const { blast_id } = await call(fairlead, 'POST', 'blast', {
    name,
    list: `List ${listId}`,
    subject: 'News for {first_name}',
    from_name: 'The Shop',
    from_email: 'shop@example.org',
    content_html: content(),
    content_text: 'News for {first_name}: https://shop.example.org/ Stop: {optout_confirm_url}',
    is_link_tracking: 1,
    schedule_time: 'now',
  })
  return blast_id
}
