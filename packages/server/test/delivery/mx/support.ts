import type { MxRecord, MxWorld } from '../../../src/delivery/mx/hosts.ts'
import { freePort } from '../../support/fairlead.ts'
import type { Script, ScriptedSmtp } from '../../support/scripted-smtp.ts'
import { scripted } from '../smtp/support.ts'

/** What the DNS says of a name; a text is the error that asking for it ends with. */
export interface Named {
  mx?: Array<[priority: number, exchange: string]> | string
  a?: string[] | string
  aaaa?: string[] | string
}
export type Zone = { [name: string]: Named }

export interface TestWorld extends MxWorld {
  /** Questions, as `MX example.com`. */
  asked: string[]
}

/** A DNS of a few names; on this machine every address may be connected to. */
export function world(zone: Zone, port = 25): TestWorld {
  const asked: string[] = []
  function answer<T>(type: string, name: string, records: T[] | string | undefined): Promise<T[]> {
    asked.push(`${type} ${name}`)
    const code = zone[name] === undefined ? 'ENOTFOUND' : (records ?? 'ENODATA')
    if (typeof code !== 'string') return Promise.resolve(code)
    return Promise.reject(Object.assign(new Error(`query${type} ${code} ${name}`), { code }))
  }
  return {
    asked,
    port,
    random: Math.random,
    isAllowed: () => true,
    resolver: {
      async resolveMx(name): Promise<MxRecord[]> {
        const { mx } = zone[name] ?? {}
        const records = typeof mx === 'string' ? mx : mx?.map(([priority, exchange]) => ({ priority, exchange }))
        return answer('MX', name, records)
      },
      resolve4: (name) => answer('A', name, zone[name]?.a),
      resolve6: (name) => answer('AAAA', name, zone[name]?.aaaa),
    },
  }
}

/** Mail servers on one port at 127.0.0.2, 127.0.0.3 and so on, as each on the Internet has port 25. */
export async function serversOnOnePort(...scripts: Script[]): Promise<{ port: number; servers: ScriptedSmtp[] }> {
  const port = await freePort()
  const servers: ScriptedSmtp[] = []
  for (const [n, script] of scripts.entries()) {
    servers.push(await scripted({ ...script, port, address: `127.0.0.${n + 2}` }))
  }
  return { port, servers }
}
