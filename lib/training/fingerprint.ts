import { binding } from '../native/binding'
import type { NativeArray } from '../native/interface'

/** A whole number below 2^53 that follows from arrays and texts: processes compare it in place of them (core/fingerprint.h). */
export function fingerprint(...parts: readonly (NativeArray | Uint8Array | string)[]): number {
  const words = parts.map((part) => binding().fingerprint(bytesOf(part)))
  return words.length === 1 ? words[0]! : fingerprint(Float64Array.from(words))
}

function bytesOf(part: NativeArray | Uint8Array | string): Uint8Array {
  if (typeof part === 'string') return Buffer.from(part)
  return new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
}
