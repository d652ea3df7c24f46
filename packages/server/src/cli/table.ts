/**
 * Lines of a table whose columns are as wide as their widest cell.
 *
 * @param rows the first one holds the headings
 * @param right columns of numbers, by index
 */
export function tableLines(rows: ReadonlyArray<readonly string[]>, right: readonly number[] = []): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, column) => (right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
}

/** A time as tables show it: `2030-03-05 12:00`, in UTC. */
export const minute = (at: Date) => at.toISOString().slice(0, 16).replace('T', ' ')

/** Without control characters, which could do anything to the terminal. */
export const visible = (text: string) => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
