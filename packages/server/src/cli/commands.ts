import type { CliCommand } from './terminal.ts'

/**
 * Every command, in the order in which `fairlead --help` lists them. A new one is a file that exports `command`, and a
 * line here. Only the file of the command that was asked for is loaded.
 */
export const commands: Array<{ name: string; load: () => Promise<{ command: CliCommand }> }> = [
  { name: 'start', load: () => import('./start.ts') },
  { name: 'migrate', load: () => import('./migrate.ts') },
  { name: 'key', load: () => import('./key.ts') },
  { name: 'setting', load: () => import('./setting.ts') },
  { name: 'audit', load: () => import('./audit.ts') },
  { name: 'block', load: () => import('./block.ts') },
  { name: 'page', load: () => import('./page.ts') },
  { name: 'mail', load: () => import('./mail.ts') },
  { name: 'queue', load: () => import('./queue.ts') },
  { name: 'relay', load: () => import('./relay.ts') },
  { name: 'flow', load: () => import('./flow.ts') },
  { name: 'campaign', load: () => import('./campaign.ts') },
  { name: 'signal', load: () => import('./signal.ts') },
  { name: 'doctor', load: () => import('./doctor.ts') },
]
