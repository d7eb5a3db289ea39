/** LZ4 frames, in which Arrow files are compressed: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md */

const MAGIC = 0x184d2204

/** Most bytes that an unpacked buffer of a table may take. */
const MOST_BYTES = 2 ** 31

/** The content of a frame. @throws Error that says what is wrong */
export function unpackLz4Frame(frame: Uint8Array): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  if (frame.length < 7 || view.getUint32(0, true) !== MAGIC) throw new Error('it holds no LZ4 frame')
  const flags = frame[4]!
  const [hasSize, hasBlockSums] = [(flags & 0x08) !== 0, (flags & 0x10) !== 0]
  if (flags >> 6 !== 1 || (flags & 0x01) !== 0) throw new Error('it holds an LZ4 frame of an unknown kind')
  const content = new Content(hasSize ? Number(view.getBigUint64(6, true)) : 4 * frame.length)
  let at = 7 + (hasSize ? 8 : 0)
  for (;;) {
    const head = view.getUint32(at, true)
    at += 4
    if (head === 0) return content.taken()
    const size = head & 0x7fffffff
    const block = frame.subarray(at, at + size)
    if (block.length < size) throw new Error('an LZ4 block ends early')
    if (head >>> 31 === 1) content.add(block)
    else unpackBlock(block, content)
    at += size + (hasBlockSums ? 4 : 0)
  }
}

/** Sequences of bytes as they are, each followed by a copy of bytes before, of this block or an earlier one. */
function unpackBlock(block: Uint8Array, content: Content): void {
  let at = 0
  const byte = () => {
    if (at >= block.length) throw new Error('an LZ4 block ends early')
    return block[at++]!
  }
  const length = (first: number) => {
    let total = first
    if (first === 15)
      for (let more = 255; more === 255; ) {
        more = byte()
        total += more
      }
    return total
  }
  while (at < block.length) {
    const token = byte()
    const literals = length(token >> 4)
    if (at + literals > block.length) throw new Error('an LZ4 block ends early')
    content.add(block.subarray(at, at + literals))
    at += literals
    if (at === block.length) return
    const distance = byte() + 256 * byte()
    content.repeat(distance, 4 + length(token & 15))
  }
}

/** Bytes that grow. */
class Content {
  #bytes: Uint8Array<ArrayBuffer>
  #length = 0

  constructor(expected: number) {
    this.#bytes = new Uint8Array(Math.min(expected, 2 ** 24))
  }

  add(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** Adds bytes that stand `distance` before the end; these may reach into those that are added. */
  repeat(distance: number, count: number): void {
    if (distance === 0 || distance > this.#length)
      throw new Error(`an LZ4 copy reaches back ${distance} of ${this.#length} bytes`)
    this.#makeRoom(count)
    const end = this.#length + count
    if (distance >= count) this.#bytes.copyWithin(this.#length, this.#length - distance, end - distance)
    else for (let i = this.#length; i < end; i++) this.#bytes[i] = this.#bytes[i - distance]!
    this.#length = end
  }

  taken(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #makeRoom(count: number): void {
    const needed = this.#length + count
    if (needed > MOST_BYTES) throw new Error(`an LZ4 frame holds more than ${MOST_BYTES} bytes`)
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.min(MOST_BYTES, Math.max(needed, 2 * this.#bytes.length)))
    larger.set(this.#bytes)
    this.#bytes = larger
  }
}
