import type { Tx } from '../platform/database.ts'
import type { Json } from '../platform/json.ts'
import { writePostbacks } from '../postbacks/write.ts'
import type { ChangeOutcome } from '../profiles/change.ts'
import { sidOf } from '../profiles/ids.ts'
import { findProfile } from '../profiles/read.ts'
import { enqueue } from '../sends/enqueue.ts'
import type { Also } from './apply.ts'
import type { Choices } from './choices.ts'
import { ownMail } from './own-mails.ts'
import type { PageParts } from './parts.ts'
import type { Reached } from './reach.ts'
import type { Visit } from './visit.ts'

/**
 * What a save brings about beside itself, in its own transaction: the postback `update`, where the account wants one,
 * and a notice when email was switched back on. A link can be passed on with the mail that holds it, so the owner of
 * the mailbox should learn of it.
 */
export async function aftermath(parts: PageParts, reached: Reached, visit: Visit, choices: Choices): Promise<Also[]> {
  const settings = await parts.settings.get()
  const { person } = visit
  const turnsOn = choices.level?.to === 'none' && person?.email && person.level !== 'none'
  const notice = turnsOn
    ? await ownMail(parts, 'Email Back On', { profileId: person.id, address: person.email! })
    : null
  const url = settings.update_postback_url
  if (!notice && url === '') return []
  const follow: Also = async (tx, outcome) => {
    const now = parts.clock.now()
    if (notice && outcome.levelOutcome === 'applied') await enqueue(tx, [notice], { now, settings })
    const body = url === '' ? null : await updateOf(parts, tx, reached, choices, outcome)
    if (body) {
      await writePostbacks(tx, [{ profileId: outcome.profileId, action: 'update', url, body, dedupeKey: null }], now)
    }
  }
  return [follow]
}

/** Who saved which page, and how what it offered stands now. */
async function updateOf(
  { lists, sends }: PageParts,
  tx: Tx,
  { page, messageId }: Reached,
  choices: Choices,
  { profileId, level }: ChangeOutcome & { ok: true },
): Promise<{ [parameter: string]: string } | null> {
  const profile = await findProfile(tx, { kind: 'id', value: profileId })
  if (!profile) return null
  const ids = await lists.find([...choices.lists.keys()])
  return {
    action: 'update',
    sid: sidOf(profile),
    ...(profile.email === null ? {} : { email: profile.email }),
    page,
    optout_email: level,
    ...Object.fromEntries([...ids].map(([name, id]) => [`lists[${name}]`, profile.lists.has(id) ? '1' : '0'])),
    ...Object.fromEntries([...choices.vars].flatMap(([name, value]) => inBrackets(`vars[${name}]`, value))),
    ...(messageId === null ? {} : { send_id: sends.sendIdOf(messageId) }),
  }
}

function inBrackets(name: string, value: Json): Array<[string, string]> {
  if (!Array.isArray(value)) return [[name, String(value)]]
  return value.map((one, index) => [`${name}[${index}]`, String(one)])
}
