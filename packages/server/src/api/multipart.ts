import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy'
import { ApiError, tooLarge, tooManyParameters, unreadableBody } from './errors.ts'
import { MAX_PARAMETERS, type Pair } from './parameters.ts'

/**
 * Multipart bodies, as seven client libraries write them: text parts in UTF-8 or (Java) Latin-1, file parts of any
 * type, and sometimes (.NET) no closing boundary.
 */

/** A file part, lying on disk until the request ends. Move it to keep it. */
export interface UploadedFile {
  name: string
  path: string
  size: number
}

export interface Multipart {
  pairs: Pair[]
  files: Map<string, UploadedFile>
}

export interface MultipartLimits {
  /** All text parts together, in bytes. */
  textBytes: number
  /** One file part, in bytes. */
  fileBytes: number
  /** Where file parts are kept; null: they are read and dropped. */
  spoolFolder: string | null
}

/**
 * Reads a multipart body to its end.
 * @throws ApiError 99 when there is no boundary, or something is too large; whatever was spooled is gone then
 */
export async function readMultipart(source: Readable, contentType: string, limits: MultipartLimits) {
  const received: Multipart = { pairs: [], files: new Map() }
  const { promise: failed, reject: fail } = Promise.withResolvers<never>()
  const parser = parserFor(contentType)
  const finished = new Promise<void>((resolve) => parser.once('finish', resolve))
  const writes: Promise<void>[] = []
  let textBytes = 0

  parser.once('error', (error: Error) => fail(unreadableBody(error.message)))
  parser.once('partsLimit', () => fail(tooManyParameters(MAX_PARAMETERS)))
  parser.on('file', (name: string | undefined, part, fileName: string | undefined, _encoding, type) => {
    part.once('error', (error) => fail(unreadableBody(error.message)))
    const isFile = fileName !== undefined || type === 'application/octet-stream'
    if (!name || (isFile && limits.spoolFolder === null)) part.resume()
    else if (isFile) {
      const file = { name: fileName ?? name, path: join(limits.spoolFolder as string, randomUUID()), size: 0 }
      const replaced = received.files.get(name)
      if (replaced) writes.push(discard(replaced))
      received.files.set(name, file)
      const write = spool(part, file, limits.fileBytes)
      write.catch(fail)
      writes.push(write)
    } else {
      const chunks: Buffer[] = []
      part.on('data', (chunk: Buffer) => {
        textBytes += chunk.length
        if (textBytes > limits.textBytes) fail(tooLarge('Request body', limits.textBytes))
        else chunks.push(chunk)
      })
      part.once('end', () => received.pairs.push([name, textOf(Buffer.concat(chunks))]))
    }
  })

  try {
    const fed = feed(source, parser, closingOf(contentType), limits.textBytes + limits.fileBytes, failed)
    await Promise.race([failed, Promise.all([fed, finished])])
    await Promise.all(writes)
    return received
  } catch (error) {
    parser.destroy()
    await Promise.allSettled(writes)
    await discardFiles(received.files)
    throw error instanceof ApiError ? error : unreadableBody(error instanceof Error ? error.message : String(error))
  }
}

/** Removes what the endpoint did not take. */
export async function discardFiles(files: ReadonlyMap<string, UploadedFile>): Promise<void> {
  for (const file of files.values()) await discard(file)
}

const discard = (file: UploadedFile) => unlink(file.path).catch(() => {})

/** Every part is taken as a file, since text parts are needed as bytes: their character set is unknown. */
function parserFor(contentType: string): BusboyInstance {
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      isPartAFile: () => true,
      limits: { parts: MAX_PARAMETERS, headerPairs: 32, headerSize: 16 * 1024 },
    })
  } catch {
    throw unreadableBody('a multipart body needs a boundary')
  }
}

const closingOf = (contentType: string) => {
  const boundary = /boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(contentType)
  return `\r\n--${boundary?.[1] ?? boundary?.[2]}--\r\n`
}

/** Passes the body on and closes it ourselves: an unterminated body becomes whole, after a whole one it is ignored. */
async function feed(
  source: Readable,
  parser: BusboyInstance,
  closing: string,
  mostBytes: number,
  failed: Promise<never>,
): Promise<void> {
  let bytes = 0
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length
    if (bytes > mostBytes) throw tooLarge('Request body', mostBytes)
    if (!parser.write(chunk)) await Promise.race([new Promise((resolve) => parser.once('drain', resolve)), failed])
  }
  parser.end(closing)
}

async function spool(part: BusboyFileStream, file: UploadedFile, mostBytes: number): Promise<void> {
  await pipeline(
    part,
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        file.size += chunk.length
        if (file.size > mostBytes) throw tooLarge('File', mostBytes)
        yield chunk
      }
    },
    createWriteStream(file.path, { mode: 0o600, flags: 'wx' }),
  )
}

/** Java sends text parts in ISO-8859-1 without saying so, and signs their UTF-8 form. */
const textOf = (bytes: Buffer) => bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
