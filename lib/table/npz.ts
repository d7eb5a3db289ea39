import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import yauzl from 'yauzl'
import { unreadable } from '../file/file-errors'
import { fail } from '../native/check'
import { FfjordError, isFfjordError } from '../native/errors'
import type { ByteSource } from './byte-source'
import { numpyTable } from './numpy'
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
  const known = names.slice(0, 50).join(', ') + (names.length > 50 ? ', …' : '') || 'none'
  if (key !== undefined && !names.includes(key))
    return fail('INVALID_OPTION', `${path} holds no array '${key}'; it holds ${known}`)
  if (key === undefined && names.length !== 1)
    return fail(
      'INVALID_OPTION',
      `${path} holds ${names.length} arrays; choose one with key (--key): ${known}`
    )
  return key ?? names[0]!
}

/** One entry, unpacked as it is read: what its header says is checked before the rest of it takes any memory. */
async function entryBytes(path: string, key: string): Promise<ByteSource> {
  const zip = await openZip(path)
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw isFfjordError(error) ? error : noZip(path, error)
    }
  }
  const entry = await explained(async () => {
    const found = (await list(zip)).find(({ fileName }) => fileName === `${key}.npy`)
    return found ?? fail('INVALID_FILE', `${path} no longer holds ${key}; write it again`)
  })
  let stream: Readable | undefined
  let parts: AsyncIterator<Buffer> | undefined
  let part: Buffer = Buffer.alloc(0)
  /** Where `part` starts in the entry. */
  let at = 0
  const restart = async () => {
    stream?.destroy()
    stream = await promisify(zip.openReadStream.bind(zip) as OpenStream)(entry)
    parts = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    part = Buffer.alloc(0)
    at = 0
  }
  const next = async () => {
    at += part.length
    const { value, done } = await parts!.next()
    if (done) throw new Error(`${key} ends at byte ${at} of ${entry.uncompressedSize}`)
    part = value
  }
  return {
    size: entry.uncompressedSize,
    sequential: true,
    read: (position, length) =>
      explained(async () => {
        if (!parts || position < at) await restart()
        const size = Math.max(0, Math.min(length, entry.uncompressedSize - position))
        const bytes = new Uint8Array(new ArrayBuffer(size))
        for (let done = 0; done < size; ) {
          const from = position + done - at
          if (from < part.length) {
            const some = part.subarray(from, from + size - done)
            bytes.set(some, done)
            done += some.length
          } else await next()
        }
        return bytes
      }),
    close: async () => {
      stream?.destroy()
      zip.close()
    }
  }
}

type OpenStream = (entry: yauzl.Entry, done: (error: Error | null, stream: Readable) => void) => void

async function openZip(path: string): Promise<yauzl.ZipFile> {
  try {
    return await promisify<string, yauzl.Options, yauzl.ZipFile>(yauzl.open)(path, {
      lazyEntries: true,
      autoClose: false
    })
  } catch (error) {
    throw 'syscall' in (error as Error) ? unreadable(path, error) : noZip(path, error)
  }
}

async function withZip<T>(path: string, work: (zip: yauzl.ZipFile) => Promise<T>): Promise<T> {
  const zip = await openZip(path)
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
