import type { FastifyRequest } from 'fastify'
import { onlyRefusals, readChoices, refusesAnything } from './choices.ts'
import { fieldOf, readForm } from './form.ts'
import { openForm } from './form-token.ts'
import type { Refusal } from './noted.ts'
import type { PageParts } from './parts.ts'
import { posterOf } from './request.ts'

/** A link as far as it can be checked without the database. */
export interface RefusingLink {
  page: string
  place: string
  /** Null: the form's own token has to say whom it was made for. */
  profileId: number | null
  messageId: number | null
}

/** What a posted form refuses, read without the database; null: nothing, or it cannot be told for whom. */
export async function refusalIn(
  parts: Pick<PageParts, 'signingKeys' | 'clock'>,
  { page, place, profileId: linked, messageId }: RefusingLink,
  request: FastifyRequest,
): Promise<Refusal | null> {
  const posted = await readForm(request.body as Buffer | null, request.headers['content-type'] ?? '')
  if (!posted.ok || fieldOf(posted.fields, 'undo') !== null) return null
  const opened = openForm(parts.signingKeys, fieldOf(posted.fields, '_fl'), { page, now: parts.clock.now() })
  const form = opened.state === 'bad' || (linked !== null && opened.form.profileId !== linked) ? null : opened.form
  const profileId = linked ?? form?.profileId ?? null
  const refused = onlyRefusals(readChoices(posted.fields, form ?? undefined))
  if (profileId === null || !refusesAnything(refused)) return null
  const { ip, userAgent } = posterOf(request)
  return {
    via: 'hosted_page',
    profileId,
    messageId,
    ip,
    userAgent: userAgent ?? null,
    place,
    level: refused.level?.to ?? null,
    lists: [...refused.lists.keys()],
    templates: [...refused.templates.keys()],
    sms: refused.leavesSms,
  }
}
