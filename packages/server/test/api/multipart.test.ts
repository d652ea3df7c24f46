import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { ApiError } from '../../src/api/errors.ts'
import { discardFiles, type MultipartLimits, readMultipart } from '../../src/api/multipart.ts'

const spoolFolder = mkdtempSync(join(tmpdir(), 'multipart-test-'))
afterAll(() => rmSync(spoolFolder, { recursive: true }))
afterEach(() => expect(readdirSync(spoolFolder)).toEqual([]))

const limits: MultipartLimits = { textBytes: 1000, fileBytes: 1000, spoolFolder }

/** Reads a body arriving in pieces of the given size; files come back as their content, and are discarded. */
async function read(
  body: string | Buffer,
  options: Partial<MultipartLimits> & { boundary?: string; piece?: number } = {},
) {
  const { boundary = 'X', piece = 7, ...others } = options
  const bytes = Buffer.from(body as string, 'latin1')
  const pieces = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, i) =>
    bytes.subarray(i * piece, (i + 1) * piece),
  )
  const type = `multipart/form-data; boundary=${boundary}`
  const { pairs, files } = await readMultipart(Readable.from(pieces), type, { ...limits, ...others })
  const contents = [...files].map(([part, { name, path, size }]) => ({
    part,
    name,
    size,
    content: readFileSync(path, 'latin1'),
  }))
  await discardFiles(files)
  return { pairs, files: contents }
}

const textPart = (name: string, value: string, more = '') =>
  `--X\r\nContent-Disposition: form-data; name="${name}"\r\n${more}\r\n${value}\r\n`
const filePart = (name: string, fileName: string, content: string, type = 'application/octet-stream') =>
  `--X\r\nContent-Disposition: form-data; name="${name}"; filename="${fileName}"\r\nContent-Type: ${type}\r\n\r\n${content}\r\n`
const refusal = (body: string, options = {}) =>
  read(body, options).then(
    () => 'accepted',
    (error: ApiError) => (error instanceof ApiError ? error.body : error),
  )

describe('multipart bodies', () => {
  test('texts and a file, whatever pieces they arrive in', async () => {
    const body =
      textPart('api_key', 'k') +
      textPart('json', '{"job":"import"}') +
      filePart('file', 'a.csv', 'x\r\n--y') +
      '--X--\r\n'
    for (const piece of [1, 2, 3, 50, 10_000]) {
      expect(await read(body, { piece })).toEqual({
        pairs: [
          ['api_key', 'k'],
          ['json', '{"job":"import"}'],
        ],
        files: [{ part: 'file', name: 'a.csv', size: 6, content: 'x\r\n--y' }],
      })
    }
  })

  test.each([
    ['no dashes after the last boundary', '--X\r\n'],
    ['a boundary without a line end', '--X'],
    ['no last boundary', ''],
    ['an epilogue', '--X--\r\nbye'],
  ])('ending in %s', async (_, ending) => {
    const body = `preamble\r\n${textPart('api_key', 'k')}${filePart('file', 'a', 'content')}${ending}`
    const { pairs, files } = await read(body)
    expect(pairs).toEqual([['api_key', 'k']])
    expect(files[0]?.content.trimEnd()).toBe('content')
  })

  test('a Ruby upload of text, named local.path, and a quoted boundary', async () => {
    const body = filePart('file', 'local.path', 'a@example.com', 'text/plain').replaceAll('X', 'a b') + '--a b--'
    expect((await read(body, { boundary: '"a b"' })).files).toMatchObject([
      { name: 'local.path', content: 'a@example.com' },
    ])
  })

  test('Java texts in Latin-1 without saying so, and texts in UTF-8', async () => {
    const java = 'Content-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n'
    const utf8 = Buffer.from('zoë').toString('latin1')
    expect(
      (await read(`${textPart('a', 'zo\xeb', java)}${textPart('b', utf8)}${textPart('c', utf8, java)}--X--`)).pairs,
    ).toEqual([
      ['a', 'zoë'],
      ['b', 'zoë'],
      ['c', 'zoë'],
    ])
  })

  test('empty values, missing names and foreign dispositions', async () => {
    const body = `${textPart('a', '')}--X\r\n\r\nno headers\r\n--X\r\nContent-Disposition: attachment; name="b"\r\n\r\nx\r\n--X\r\nContent-Disposition: form-data\r\n\r\nx\r\n${textPart('c', '1')}--X--`
    expect((await read(body)).pairs).toEqual([
      ['a', ''],
      ['c', '1'],
    ])
  })

  test('a file name cannot lead elsewhere', async () => {
    expect((await read(`${filePart('file', '../../etc/passwd', 'x')}--X--`)).files).toMatchObject([{ name: 'passwd' }])
  })

  test('a part sent twice: the last file wins, the first is gone', async () => {
    expect((await read(`${filePart('file', 'a', '1')}${filePart('file', 'b', '2')}--X--`)).files).toMatchObject([
      { content: '2' },
    ])
  })

  test('files nobody asked for are dropped', async () => {
    const body = `${filePart('file', 'a', 'x'.repeat(900))}${textPart('a', '1')}--X--`
    expect(await read(body, { spoolFolder: null })).toEqual({ pairs: [['a', '1']], files: [] })
  })
})

describe('multipart bodies that are refused', () => {
  test('too much text, too large a file, too much of everything', async () => {
    expect(await refusal(`${textPart('a', 'x'.repeat(600))}${textPart('b', 'x'.repeat(600))}--X--`)).toEqual({
      error: 99,
      errormsg: 'Request body is larger than 1000 bytes',
    })
    expect(await refusal(`${filePart('file', 'a', 'x'.repeat(1001))}--X--`)).toEqual({
      error: 99,
      errormsg: 'File is larger than 1000 bytes',
    })
    const files = filePart('file', 'a', 'x'.repeat(900)).repeat(3)
    expect(await refusal(`${files}--X--`)).toMatchObject({ errormsg: 'Request body is larger than 2000 bytes' })
  })

  test('no boundary, too many parts, a broken connection', async () => {
    await expect(readMultipart(Readable.from(['']), 'multipart/form-data', limits)).rejects.toMatchObject({ code: 99 })
    expect(await refusal(textPart('a', '').repeat(10_001), { textBytes: 1e6, piece: 9999 })).toMatchObject({
      errormsg: 'More than 10000 parameters',
    })
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from(filePart('file', 'a', 'x').slice(0, -2))
        throw new Error('aborted')
      })(),
    )
    await expect(readMultipart(broken, 'multipart/form-data; boundary=X', limits)).rejects.toMatchObject({
      message: 'The request body cannot be read: aborted',
    })
  })

  test('a spool folder that is not there', async () => {
    expect(await refusal(`${filePart('file', 'a', 'x')}--X--`, { spoolFolder: '/nowhere' })).not.toBe('accepted')
  })
})

test('arbitrary multipart bodies end, with an answer or an ApiError', async () => {
  const syntax = fc.constantFrom(
    '--X',
    '--X--',
    '--',
    '\r\n',
    '\r',
    '\n',
    'Content-Disposition: form-data; name="a"',
    '; filename="f"',
    'Content-Disposition',
    ':',
    '\r\n\r\n',
    'x',
    '\xeb',
    '\0',
    '"',
    'Content-Type: text/plain',
    ' ',
  )
  await fc.assert(
    fc.asyncProperty(fc.array(syntax, { maxLength: 30 }), fc.integer({ min: 1, max: 40 }), async (parts, piece) => {
      try {
        await read(parts.join(''), { piece })
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
      }
      expect(readdirSync(spoolFolder)).toEqual([])
    }),
    { numRuns: 1500, interruptAfterTimeLimit: 20_000 },
  )
})
