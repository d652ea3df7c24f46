/**
 * Something that the person who runs Fairlead can put right: a port in use, a database that is down, a bad value.
 * Commands print the message as one line, without a stack trace, and end with code 1.
 */
export class OperatorError extends Error {
  override name = 'OperatorError'
}

/** The message of anything thrown, on one line. */
export function oneLine(error: unknown): string {
  // A refused connection to several addresses comes as an AggregateError with an empty message.
  const parts = error instanceof AggregateError && !error.message ? error.errors : [error]
  return parts
    .map((part) => (part instanceof Error ? part.message || part.name : String(part)))
    .join('; ')
    .replace(/\s*\n\s*/g, ' ')
    .trim()
}
