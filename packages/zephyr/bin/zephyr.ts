/** The `zephyr` command: renders and checks templates from the shell. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { CompileError, type Context, lint, RenderError, Stop } from '../src/index.ts'
import { checkContext, type Request, renderRequest } from '../src/preview.ts'

const USAGE = `zephyr render [--context mail|page|setup|link|trigger] [--lenient] TEMPLATE [DATA.json]
    prints the rendered template; DATA holds variables, 'profile' and 'standard' values
zephyr render --jsonl
    reads one {"template", "data"?, "context"?, "setup"?, "mode"?, "env"?} per line of standard input,
    writes one {"output"} or {"error", "kind", "line", "column"} per line
zephyr check [--context …] TEMPLATE
    prints what is wrong and what is probably not meant; exit code 1 if it does not compile
`

const { values, positionals } = readArguments()
const [command, templateFile, dataFile] = positionals
const context = values.context as Context | undefined

if (values.help) process.stdout.write(USAGE)
else if (command === 'render' && values.jsonl) await renderLines()
else if (command === 'render' && templateFile !== undefined) explained(() => renderFile(templateFile, dataFile))
else if (command === 'check' && templateFile !== undefined) explained(() => check(templateFile))
else {
  process.stderr.write(USAGE)
  process.exitCode = 2
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        jsonl: { type: 'boolean' },
        lenient: { type: 'boolean' },
        context: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`)
    process.exit(2)
  }
}

function renderFile(file: string, data: string | undefined): void {
  const request: Request = {
    template: readFileSync(file, 'utf8'),
    data: data === undefined ? {} : JSON.parse(readFileSync(data, 'utf8')),
    context,
    mode: values.lenient ? 'lenient' : 'strict',
    field: file,
  }
  process.stdout.write(renderRequest(request))
}

/** Does something with files; says in words what went wrong. */
function explained(work: () => void): void {
  try {
    work()
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`)
    process.exitCode = 1
  }
}

function explain(error: unknown): string {
  if (error instanceof Stop) return `stopped by ${error.kind}: ${error.reason}`
  if (error instanceof CompileError || error instanceof RenderError) return `${error.message}\n${error.excerpt}`
  return error instanceof Error ? error.message : String(error)
}

async function renderLines(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === '') continue
    // Wait when whoever reads is slower, instead of keeping all answers in memory.
    if (!process.stdout.write(`${JSON.stringify(answer(line))}\n`)) {
      await new Promise((resolve) => process.stdout.once('drain', resolve))
    }
  }
}

function answer(line: string): unknown {
  try {
    const request = JSON.parse(line) as Request
    if (typeof request?.template !== 'string') throw new SyntaxError("a line needs a 'template' text")
    return { output: renderRequest(request) }
  } catch (error) {
    if (error instanceof Stop) return { error: error.reason, kind: error.kind, line: error.line, column: error.column }
    if (error instanceof CompileError) {
      return { error: error.message, kind: 'compile', line: error.line, column: error.column }
    }
    if (error instanceof RenderError) {
      return { error: error.message, kind: error.kind, line: error.line, column: error.column }
    }
    return { error: error instanceof Error ? error.message : String(error), kind: 'input', line: null, column: null }
  }
}

function check(file: string): void {
  if (context !== undefined) checkContext(context)
  let failed = false
  for (const { code, message, line, column } of lint(readFileSync(file, 'utf8'), { context, field: file })) {
    process.stdout.write(`${file}:${line}:${column} ${code}: ${message}\n`)
    failed ||= code === 'error'
  }
  if (failed) process.exitCode = 1
}
