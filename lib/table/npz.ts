import { promisify } from 'node:util'
import yauzl from 'yauzl'
import { fail } from '../check'
import { FfjordError, isFfjordError } from '../errors'
import { unreadable } from '../file-errors'
import { type ByteSource, numpyTable } from './numpy'
import type { TableSource } from './source'

/** Arrays in NumPy's .npz, a zip file of .npy files. One is taken: `key`, or the only one. */
export async function openNpz(path: string, key: string | undefined): Promise<TableSource> {
  const names = await withZip(path, async (zip) => {
    const entries = await list(zip)
    return entries.map(({ fileName }) => fileName.replace(/\.npy$/, ''))
  })
  const chosen = chooseKey(path, names, key)
  return numpyTable(`${path}[${chosen}]`, () => entryBytes(path, chosen))
}

/** `key`, which must be one of `names`, or the only one there is. */
export function chooseKey(path: string, names: readonly string[], key: string | undefined): string {
  const known = names.join(', ') || 'none'
  if (key !== undefined && !names.includes(key))
    return fail('INVALID_OPTION', `${path} holds no array '${key}'; it holds ${known}`)
  if (key === undefined && names.length !== 1)
    return fail('INVALID_OPTION', `${path} holds ${names.length} arrays; choose one with key: ${known}`)
  return key ?? names[0]!
}

/** One entry, unpacked into memory: zip files are packed as streams. */
async function entryBytes(path: string, key: string): Promise<ByteSource> {
  const bytes = await withZip(path, async (zip) => {
    const entry = (await list(zip)).find(({ fileName }) => fileName === `${key}.npy`)!
    const stream = await promisify(zip.openReadStream.bind(zip) as OpenStream)(entry)
    const all = new Uint8Array(new ArrayBuffer(entry.uncompressedSize))
    let done = 0
    for await (const part of stream as AsyncIterable<Buffer>) {
      all.set(part, done)
      done += part.length
    }
    return all
  })
  return {
    size: bytes.length,
    read: async (position, length) => bytes.slice(position, position + length),
    close: async () => undefined
  }
}

type OpenStream = (
  entry: yauzl.Entry,
  done: (error: Error | null, stream: NodeJS.ReadableStream) => void
) => void

async function withZip<T>(path: string, work: (zip: yauzl.ZipFile) => Promise<T>): Promise<T> {
  let zip: yauzl.ZipFile
  try {
    zip = await promisify<string, yauzl.Options, yauzl.ZipFile>(yauzl.open)(path, {
      lazyEntries: true,
      autoClose: false
    })
  } catch (error) {
    throw 'syscall' in (error as Error) ? unreadable(path, error) : noZip(path, error)
  }
  try {
    return await work(zip)
  } catch (error) {
    throw isFfjordError(error) ? error : noZip(path, error)
  } finally {
    zip.close()
  }
}

function noZip(path: string, cause: unknown): FfjordError {
  const { message } = cause as Error
  return new FfjordError('INVALID_FILE', `${path} is no .npz file (${message}); write it with numpy.savez`, {
    cause
  })
}

function list(zip: yauzl.ZipFile): Promise<yauzl.Entry[]> {
  return new Promise((resolve, reject) => {
    const entries: yauzl.Entry[] = []
    zip.on('entry', (entry: yauzl.Entry) => {
      entries.push(entry)
      zip.readEntry()
    })
    zip.once('end', () => resolve(entries))
    zip.once('error', reject)
    zip.readEntry()
  })
}
