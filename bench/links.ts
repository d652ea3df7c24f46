import { randomBytes } from 'node:crypto'
import { createIdCipher, type SigningKeys } from '../packages/server/src/links/keys.ts'
import { createLinkRewriter } from '../packages/server/src/links/rewrite.ts'
import { createTrackedLinks, targetOf } from '../packages/server/src/links/tracked.ts'
import { hmacWith } from '../packages/server/src/platform/hmac.ts'
import { compile } from '../packages/zephyr/src/index.ts'
import { type Measure, median } from './measure.ts'

const ROUNDS = 7
const MESSAGES = 10_000
const LINKS = 10

/** Makes and opens the tokens of tracked links, ten to a message, and renders a page with and without them. */
export async function run(): Promise<Measure[]> {
  const subkeys = new Map<string, (text: string) => Buffer>()
  const ids = createIdCipher(randomBytes(16))
  const keys: SigningKeys = {
    currentKid: () => 1,
    mac(_kid, purpose, text) {
      if (!subkeys.has(purpose)) subkeys.set(purpose, hmacWith(randomBytes(32)))
      return subkeys.get(purpose)!(text).subarray(0, 16)
    },
    verify: () => false,
    conceal: (_kid, first, second) => ids.conceal(first, second),
    reveal: (_kid, concealed) => ids.reveal(concealed),
    has: () => true,
    refresh: async () => {},
  }
  const publicUrl = 'https://links.example.com'
  const tracked = createTrackedLinks({ keys, publicUrl })
  const targets = Array.from(
    { length: LINKS },
    (_, n) => targetOf(`https://shop.example.com/item/${n}?from=mail`, null)!,
  )
  const tokens: string[] = []
  const make = perSecond(MESSAGES * LINKS, () => {
    for (let id = 1; id <= MESSAGES; id++) {
      const message = tracked.ofMessage({ id: id * 64_000, isTest: false })
      for (const [link, target] of targets.entries()) tokens[link] = message.click(link, target)
    }
  })
  const token = tokens[0]!.slice(`${publicUrl}/c/`.length)
  const open = perSecond(MESSAGES * LINKS, () => {
    for (let n = 0; n < MESSAGES * LINKS; n++) if (!tracked.openClick(token)) throw new Error('a token does not open')
  })

  const rewriter = createLinkRewriter({ publicUrl })
  const page = compile(
    `${targets.map((_, n) => `<p>${'words '.repeat(300)}<a href="https://shop.example.com/item/${n}?id={id}&amp;from=mail">x</a></p>`).join('')}`,
  )
  const plain = perSecond(MESSAGES, () => {
    for (let id = 1; id <= MESSAGES; id++) page.render({ layers: [{ name: 'vars', values: { id } }] })
  })
  const rewritten = perSecond(MESSAGES, () => {
    for (let id = 1; id <= MESSAGES; id++) {
      const message = tracked.ofMessage({ id, isTest: false })
      page.render(
        { layers: [{ name: 'vars', values: { id } }] },
        { link: (url, link, params) => rewriter.html(message, url, link, params) },
      )
    }
  })
  return [
    { name: 'tokens made, ten to a message', value: make, unit: 'tokens/s', bar: { atLeast: 500_000 } },
    { name: 'one token', value: 1e6 / make, unit: 'µs' },
    { name: 'tokens opened', value: open, unit: 'tokens/s' },
    { name: 'page of ten personal links, as written', value: plain, unit: 'pages/s' },
    { name: 'page of ten personal links, tracked', value: rewritten, unit: 'pages/s' },
    { name: 'tracking of such a page', value: 1e6 / rewritten - 1e6 / plain, unit: 'µs' },
  ]
}

/** The median rate over rounds, after one that only warms up. */
function perSecond(count: number, work: () => void): number {
  work()
  return median(
    Array.from({ length: ROUNDS }, () => {
      const start = performance.now()
      work()
      return (count * 1_000) / (performance.now() - start)
    }),
  )
}
