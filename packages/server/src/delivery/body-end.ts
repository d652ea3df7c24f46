/** Puts markup at the end of a page's body, or of the page where its end is not marked. */
export function beforeBodyEnd(html: string, addition: string): string {
  const usual = html.lastIndexOf('</body>')
  const end = usual === -1 ? html.toLowerCase().lastIndexOf('</body>') : usual
  return end === -1 ? html + addition : html.slice(0, end) + addition + html.slice(end)
}
