import { userInfo } from 'node:os'
import type { Author } from '../account/audit.ts'

/** Who runs this command, as the audit names them: the name of the account on this machine, if it has one. */
export function author(): Author {
  try {
    return { via: 'command', actor: userInfo().username }
  } catch {
    return { via: 'command', actor: null }
  }
}
