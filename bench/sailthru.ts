import { hash } from 'node:crypto'

/** The form of an API call as a client library signs it: the secret and the sorted values, hashed. */
export function signedForm(params: object, { key, secret }: { key: string; secret: string }): string {
  const values = { api_key: key, format: 'json', json: JSON.stringify(params) }
  const sig = hash('md5', secret + Object.values(values).toSorted().join(''), 'hex')
  return new URLSearchParams({ ...values, sig }).toString()
}

/** One call, for preparing a benchmark. @throws when it is refused */
export async function call(
  server: { url: string; key: string; secret: string },
  method: 'GET' | 'POST',
  endpoint: string,
  params: object,
): Promise<Record<string, unknown>> {
  const form = signedForm(params, server)
  const answer =
    method === 'GET'
      ? await fetch(`${server.url}/${endpoint}?${form}`)
      : await fetch(`${server.url}/${endpoint}`, {
          method,
          body: form,
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`${method} ${endpoint}: ${answer.status} ${text}`)
  return JSON.parse(text)
}
