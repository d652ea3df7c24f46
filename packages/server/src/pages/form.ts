/** What a browser posted, in order. */
export type Fields = ReadonlyArray<readonly [name: string, value: string]>

export type FormOutcome = { ok: true; fields: Fields } | { ok: false; problem: string }

/** Most bytes of a posted form. */
export const FORM_BYTES = 64 * 1024
const MOST_FIELDS = 100
const MOST_LISTS = 20
const LONGEST_VALUE = 4 * 1024

/** Reads a form in either encoding, within the limits of a hosted page. */
export async function readForm(body: Buffer | null, contentType: string): Promise<FormOutcome> {
  const fields = await fieldsOf(body ?? Buffer.alloc(0), contentType)
  if (!fields) return { ok: false, problem: 'The form could not be read.' }
  if (fields.length > MOST_FIELDS) return { ok: false, problem: `A form has at most ${MOST_FIELDS} fields.` }
  const lists = new Set(fields.filter(([name]) => /^(?:lists|listgroup)\[/.test(name)).map(([name]) => name))
  if (lists.size > MOST_LISTS) return { ok: false, problem: `A form changes at most ${MOST_LISTS} lists.` }
  for (const [name, value] of fields) {
    if (name.startsWith('vars[') && Buffer.byteLength(value) > LONGEST_VALUE) {
      return { ok: false, problem: 'One of the answers is too long.' }
    }
    // PostgreSQL text cannot hold it.
    if (name.includes('\0') || value.includes('\0')) return { ok: false, problem: 'The form could not be read.' }
  }
  return { ok: true, fields }
}

async function fieldsOf(body: Buffer, contentType: string): Promise<Array<[string, string]> | null> {
  if (!/^multipart\/form-data\b/i.test(contentType)) return [...new URLSearchParams(body.toString())]
  try {
    const form = await new Response(new Uint8Array(body), { headers: { 'content-type': contentType } }).formData()
    return [...form].flatMap(([name, value]) => (typeof value === 'string' ? [[name, value] as [string, string]] : []))
  } catch {
    return null
  }
}

/** The last value of a field; null when it was not posted. */
export function fieldOf(fields: Fields, name: string): string | null {
  return fields.findLast(([key]) => key === name)?.[1] ?? null
}
