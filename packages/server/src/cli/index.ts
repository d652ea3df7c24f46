import { Command, CommanderError } from 'commander'
import { VARIABLES } from '../config.ts'
import { OperatorError, oneLine } from '../platform/operator-error.ts'
import { commands } from './commands.ts'
import type { Terminal } from './terminal.ts'

/**
 * Runs one `fairlead` command.
 *
 * @param args what follows `fairlead` on the command line
 * @returns the exit code: 0, or 1 after one line on standard error
 */
export async function runCommand(args: string[], env: Terminal['env'], terminal?: Partial<Terminal>): Promise<number> {
  const whole: Terminal = {
    env,
    print: (text) => process.stdout.write(`${text}\n`),
    complain: (text) => process.stderr.write(`${text}\n`),
    ...terminal,
  }
  let code = 0
  const program = new Command('fairlead')
    .description('Self-hosted email platform for the moment a person who opted out wants to come back')
    .helpCommand(false)
    .configureOutput({
      writeOut: (text) => whole.print(text.trimEnd()),
      // A hint ("did you mean") comes on a line of its own.
      writeErr: (text) =>
        whole.complain(
          `fairlead: ${text
            .trim()
            .replace(/^error: /, '')
            .replace(/\s*\n\s*/g, ' ')}`,
        ),
    })
    .exitOverride()
    .addHelpText('after', `\nSettings come from the environment:\n${VARIABLES.map((name) => `  ${name}`).join('\n')}`)
  const named = commands.filter(({ name }) => name === args[0])
  for (const { load } of named.length > 0 ? named : commands) {
    const { command } = await load()
    command.register(program, whole, (failed) => {
      code = failed
    })
  }
  for (const command of allBelow(program)) command.exitOverride().copyInheritedSettings(program)
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    // Commander has printed its own line, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 1
    if (error instanceof OperatorError) whole.complain(`fairlead: ${oneLine(error)}`)
    else whole.complain(`fairlead: unexpected error, please report it: ${error instanceof Error ? error.stack : error}`)
    return 1
  }
}

function allBelow(command: Command): Command[] {
  return command.commands.flatMap((below) => [below, ...allBelow(below)])
}
