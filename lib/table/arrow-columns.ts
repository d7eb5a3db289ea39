import type { Data } from 'apache-arrow'

/**
 * Checks a column of an Arrow record batch before its cells are read: its buffers hold as many values as the batch has
 * rows. The library takes lengths from the file, and gives undefined, or cells of other columns, for what lies beyond.
 */
export function checkColumn(data: Data): void {
  const { length, nullCount, nullBitmap, values, valueOffsets, children, dictionary } = data
  // Cells of views carry their own lengths, and those of null have no buffer.
  if (!(length >= 0 && length <= MOST_ROWS)) throw new Error(`a column claims ${length} cells`)
  const enough = (what: string, found: number, needed: number) => {
    if (found < needed)
      throw new Error(`${what} of a column are ${found}, and its ${length} cells need ${needed}`)
  }
  if (nullCount > 0 && nullBitmap) enough('marks', nullBitmap.length * 8, data.offset + length)
  if (valueOffsets && length > 0) {
    enough('offsets', valueOffsets.length, length + 1)
    checkOffsets(valueOffsets, length, values?.length ?? children[0]?.length ?? 0)
  } else if (ArrayBuffer.isView(values)) {
    const found = (values as Uint8Array).length
    if (data.type.typeId === BOOL) enough('bits', found * 8, data.offset + length)
    else enough('numbers', found, length * data.stride)
  }
  for (const child of children) checkColumn(child)
  if (dictionary) {
    for (const part of dictionary.data) checkColumn(part)
    const indices = values as ArrayLike<number | bigint>
    for (let i = 0; i < length; i++)
      if (!(indices[i]! >= 0 && indices[i]! < dictionary.length) && data.getValid(i))
        throw new Error(`a cell is level ${indices[i]} of ${dictionary.length}`)
  }
}

const BOOL = 6 // Type.Bool

/** Rows that one record batch may have. */
const MOST_ROWS = 5e7

function checkOffsets(offsets: ArrayLike<number | bigint>, length: number, end: number): void {
  let last = offsets[0]!
  if (last < 0) throw new Error(`a cell begins at ${last}`)
  for (let i = 1; i <= length; i++) {
    const next = offsets[i]!
    if (!(next >= last && next <= end)) throw new Error(`a cell lies at ${last} to ${next} of ${end}`)
    last = next
  }
}
