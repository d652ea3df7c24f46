import { readFileSync, statSync } from 'node:fs'
import { OperatorError } from '../operator-error.ts'

/** The unprivileged account that the server runs under when Fairlead runs as root, which PostgreSQL refuses. */
export interface Account {
  name: string
  uid: number
  gid: number
}

/**
 * Null when the present user can run the server. As root: the account that owns the existing data, else `postgres`,
 * else `nobody`.
 *
 * @param data PostgreSQL's data directory, which need not exist yet
 */
export function serverAccount(data: string): Account | null {
  if (process.getuid?.() !== 0) return null
  const accounts = readAccounts()
  const owner = statSync(data, { throwIfNoEntry: false })
  if (owner && owner.uid !== 0) {
    // An account may have come or gone since the data was made; the files decide.
    return {
      name: accounts.find((a) => a.uid === owner.uid)?.name ?? `uid ${owner.uid}`,
      uid: owner.uid,
      gid: owner.gid,
    }
  }
  const account = ['postgres', 'nobody']
    .map((name) => accounts.find((a) => a.name === name && a.uid !== 0))
    .find(Boolean)
  if (!account) {
    throw new OperatorError(
      'Fairlead runs as root, and PostgreSQL must not: create an account named "postgres", start Fairlead as another user, or set FAIRLEAD_DATABASE_URL',
    )
  }
  return account
}

function readAccounts(): Account[] {
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4)
    .map((fields) => ({ name: fields[0]!, uid: Number(fields[2]), gid: Number(fields[3]) }))
}
