import { escapeHtml } from '@fairlead/zephyr'
import { beforeBodyEnd } from './body-end.ts'

/**
 * Adds the opt-out link to both parts of a message where its template printed none.
 *
 * @param mayPrint whether the template reads the link at all
 */
export function withOptoutFooter(
  parts: { html: string; text: string },
  url: string,
  mayPrint: boolean,
): { html: string; text: string } {
  const escaped = escapeHtml(url)
  // From the end, where such links are.
  const prints = (text: string) =>
    mayPrint && (text.lastIndexOf(url) !== -1 || (escaped !== url && text.lastIndexOf(escaped) !== -1))
  return {
    html: parts.html === '' || prints(parts.html) ? parts.html : beforeBodyEnd(parts.html, htmlFooter(escaped)),
    text:
      parts.text === '' || prints(parts.text) ? parts.text : `${parts.text.trimEnd()}\r\n\r\nUnsubscribe: ${url}\r\n`,
  }
}

const htmlFooter = (url: string) =>
  `<p style="margin:24px 0 0;font:12px/1.5 sans-serif;color:#595959;text-align:center">` +
  `<a href="${url}" style="color:#595959">Unsubscribe</a></p>`
