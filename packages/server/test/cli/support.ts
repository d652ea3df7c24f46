import { runCommand } from '../../src/cli/index.ts'
import type { EmbeddedConnection } from '../../src/platform/postgres/index.ts'

/** What a command left behind. */
export interface Said {
  code: number
  said: string[]
  complaints: string[]
}

/** Runs `fairlead` commands in this process, on a database. */
export function commandsOn({ user, password, host, database }: EmbeddedConnection) {
  const env = { FAIRLEAD_DATABASE_URL: `postgres://${user}:${password}@/${database}?host=${host}` }
  return async (...args: string[]): Promise<Said> => {
    const said: string[] = []
    const complaints: string[] = []
    const code = await runCommand(args, env, {
      print: (text) => void said.push(text),
      complain: (text) => void complaints.push(text),
    })
    return { code, said, complaints }
  }
}
