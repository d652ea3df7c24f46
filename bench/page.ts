import { startSmtpSink } from '../packages/server/test/support/smtp.ts'
import { getRequest } from './load.ts'
import type { BenchOptions, Measure } from './measure.ts'
import { compare } from './rounds.ts'
import { call } from './sailthru.ts'
import { startBare, startMeasured } from './servers.ts'

const TEMPLATE = 'Order shipped'
const ADDRESS = 'ada@example.com'

/** The opt-out page that a link in a mail opens, beside the same bytes sent by a bare route. */
export async function run(options: BenchOptions = { profile: null }): Promise<Measure[]> {
  const sink = await startSmtpSink()
  const fairlead = await startMeasured(options, { FAIRLEAD_SMTP_URL: sink.url })
  try {
    await call(fairlead, 'POST', 'template', {
      template: TEMPLATE,
      subject: 'On its way',
      content_html: '<a href="{optout_confirm_url}">Stop these messages</a>',
    })
    await call(fairlead, 'POST', 'user', { id: ADDRESS, key: 'email', lists: { Weekly: 1, Monthly: 1 } })
    await call(fairlead, 'POST', 'send', { template: TEMPLATE, email: ADDRESS })
    const [mail] = await sink.waitFor(1)
    const path = /\/oc\/[^\s"<>]+/.exec(mail!.raw.replace(/=\r\n/g, '').replace(/=3D/g, '='))?.[0]
    if (!path) throw new Error(`no link to the opt-out page in: ${mail!.raw}`)
    const page = await (await fetch(`${fairlead.url}${path}`)).text()
    const bare = await startBare({ [`GET ${path.replace(/\?.*/, '')}`]: page })
    try {
      return await compare({
        name: `the opt-out page, ${page.length} characters`,
        fairlead,
        bare,
        requests: () => [getRequest(path)],
        repeat: true,
        bar: { atLeast: 0.6 },
      })
    } finally {
      await bare.stop()
    }
  } finally {
    await fairlead.remove()
    await sink.close()
  }
}
