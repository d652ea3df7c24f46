import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type MailHouse, mailHouse } from '../delivery/support.ts'
import { commandsOn } from './support.ts'

let house: MailHouse
let fairlead: ReturnType<typeof commandsOn>

beforeAll(async () => {
  house = await mailHouse()
  fairlead = commandsOn(house.connection)
  await house.templates.save('News', { subject: 'News', content_text: 'Hello' })
})
afterAll(() => house.end())

test.each([[[]], [['--thorough']]])(
  'doctor %s says when messages are held and no worker knows of them',
  async (options) => {
    const line = async () => (await fairlead('doctor', ...options)).said.find((one) => one.includes('mail queue'))
    expect(await line()).toBe('✓ mail queue: every unfinished message is looked after')
    const id = await house.send('News', 'ada@example.com')
    await sql`update message set state = 'leased', due_at = null, worker_id = 12345 where id = ${id}`.execute(house.db)
    expect(await line()).toMatch(/^✗ mail queue: 1 messages are held and no worker knows of them/)
    expect((await fairlead('queue', 'status')).said.at(-1)).toMatch(/^1 messages are held and no worker knows of them/)
    await sql`delete from message`.execute(house.db)
    expect((await fairlead('queue', 'status')).said).toEqual(['Nothing waits'])
  },
)
