const CONTROL = /[\u0000-\u001f]/

/**
 * A list as PostgreSQL writes arrays (its documentation, "Array Input and Output Syntax"). JSON's escapes are a subset
 * that both read alike as long as no text holds a control character, and making JSON is what engines are fastest at.
 *
 * @param values texts, numbers, booleans, dates, bytes and nulls
 */
export function arrayText(values: readonly unknown[]): string {
  const plain = values.some((value) => Buffer.isBuffer(value) || (typeof value === 'string' && CONTROL.test(value)))
    ? `[${values.map(elementText).join()}]`
    : JSON.stringify(values)
  return `{${plain.slice(1, -1)}}`
}

function elementText(value: unknown): string {
  if (Buffer.isBuffer(value)) return `"\\\\x${value.toString('hex')}"`
  // A backslash makes any character after it stand for itself.
  if (typeof value === 'string') return `"${value.replace(/["\\]/g, '\\$&')}"`
  return JSON.stringify(value)
}
