import { type FileHandle, open } from 'node:fs/promises'
import { unreadable } from '../file/file-errors'
import { fail } from '../native/check'
import { FfjordError, isFfjordError } from '../native/errors'

/** Bytes that are read in order, in buffers of their own. */
export interface ByteSource {
  size: number
  /** Bytes are unpacked in their order: to read others means to start again. */
  sequential?: boolean
  /** `length` bytes from `position` on; fewer at the end. */
  read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>>
  close(): Promise<void>
}

export async function openBytes(path: string): Promise<ByteSource> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    throw unreadable(path, error)
  }
  try {
    const kind = await file.stat()
    if (!kind.isFile()) fail('FILE_NOT_READABLE', `${path} cannot be read: it is no file; give one`)
    const { size } = kind
    return {
      size,
      close: () => file.close(),
      async read(position, length) {
        const bytes = new Uint8Array(new ArrayBuffer(Math.max(0, Math.min(length, size - position))))
        for (let done = 0; done < bytes.length; ) {
          const { bytesRead } = await file
            .read(bytes, done, bytes.length - done, position + done)
            .catch((error: unknown) => {
              throw unreadable(path, error)
            })
          if (bytesRead === 0) throw new FfjordError('INVALID_FILE', `${path} ends early; write it again`)
          done += bytesRead
        }
        return bytes
      }
    }
  } catch (error) {
    await file.close()
    throw isFfjordError(error) ? error : unreadable(path, error)
  }
}
