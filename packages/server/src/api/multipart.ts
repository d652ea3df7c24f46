import { randomUUID } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Overloaded } from '../platform/overloaded.ts'
import { ApiError, tooLarge, unreadableBody } from './errors.ts'
import { type PartHead, partsOf, textOf } from './multipart-parts.ts'
import type { Pair } from './parameters.ts'

/**
 * Multipart bodies as the client libraries write them: parameters as text parts, and files, which are never signed.
 * Files go to disk as they arrive, so that memory does not grow with them.
 */

/** A file part, lying on disk until the request ends. Move it to keep it. */
export interface UploadedFile {
  /** As the client called it: no path, and not to be trusted. */
  name: string
  path: string
  /** In bytes. */
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

/** Where the content of the current part goes. */
interface Sink {
  write(content: Buffer): Promise<void>
  end(): Promise<void>
}

/**
 * Reads a multipart body to its end.
 * @throws ApiError 99 when there is no boundary, or something is too large; whatever was spooled is gone then
 */
export async function readMultipart(
  source: Readable,
  contentType: string,
  limits: MultipartLimits,
): Promise<Multipart> {
  const found = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)
  const boundary = found?.[1] ?? found?.[2]
  if (!boundary) throw unreadableBody('a multipart body needs a boundary')
  const received: Multipart = { pairs: [], files: new Map() }
  const budget = { textBytes: limits.textBytes }
  let sink: Sink = nowhere
  try {
    for await (const event of partsOf(limited(source, limits.textBytes + limits.fileBytes), boundary)) {
      if ('content' in event) await sink.write(event.content)
      else {
        await sink.end()
        sink = nowhere
        sink = await sinkFor(event.part, received, limits, budget)
      }
    }
    await sink.end()
    return received
  } catch (error) {
    await sink.end().catch(() => {})
    await discardFiles(received.files)
    if (error instanceof ApiError || error instanceof Overloaded || isDiskError(error)) throw error
    throw unreadableBody(error instanceof Error ? error.message : String(error))
  }
}

/** Removes what the endpoint did not take. */
export async function discardFiles(files: ReadonlyMap<string, UploadedFile>): Promise<void> {
  for (const file of files.values()) await unlink(file.path).catch(() => {})
}

const nowhere: Sink = { async write() {}, async end() {} }

async function sinkFor(
  part: PartHead,
  received: Multipart,
  limits: MultipartLimits,
  budget: { textBytes: number },
): Promise<Sink> {
  if (part.fileName === null) return textSink(part.name, received.pairs, limits, budget)
  if (limits.spoolFolder === null) return nowhere
  const before = received.files.get(part.name)
  if (before) await discardFiles(new Map([[part.name, before]]))
  const file = { name: part.fileName, path: join(limits.spoolFolder, randomUUID()), size: 0 }
  const handle = await open(file.path, 'wx', 0o600)
  received.files.set(part.name, file)
  return fileSink(file, handle, limits.fileBytes)
}

function textSink(name: string, pairs: Pair[], limits: MultipartLimits, budget: { textBytes: number }): Sink {
  const contents: Buffer[] = []
  return {
    async write(content) {
      budget.textBytes -= content.length
      if (budget.textBytes < 0) throw tooLarge('Request body', limits.textBytes)
      contents.push(content)
    },
    async end() {
      pairs.push([name, textOf(Buffer.concat(contents))])
    },
  }
}

function fileSink(file: UploadedFile, handle: FileHandle, fileBytes: number): Sink {
  return {
    async write(content) {
      file.size += content.length
      if (file.size > fileBytes) throw tooLarge('File', fileBytes)
      await handle.writeFile(content)
    },
    end: () => handle.close(),
  }
}

/** Stops at so many bytes, and leaves the connection open for the answer. */
async function* limited(source: Readable, mostBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length
    if (bytes > mostBytes) throw tooLarge('Request body', mostBytes)
    yield chunk
  }
}

/** A full or missing disk is our own failure, not the caller's. */
const isDiskError = (error: unknown) =>
  error instanceof Error &&
  /^(ENOSPC|ENOENT|EACCES|EROFS|EMFILE|EIO|EDQUOT)$/.test(String((error as { code?: unknown }).code))
