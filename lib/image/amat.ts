import { damaged, fileBytes } from './file-bytes'

const [ZERO, ONE, NEWLINE] = [0x30, 0x31, 0x0a]
const isSpace = (byte: number) => byte === 0x20 || byte === 0x09 || byte === 0x0d

/** Rows of `width` zeros and ones as text, a line a row, as bytes of 0 and 1; from a file or one packed by gzip. */
export async function readAmat(path: string, width: number): Promise<Uint8Array> {
  const text = await fileBytes(path)
  const digits = new Uint8Array(text.length)
  let count = 0
  let row = 0
  const endLine = () => {
    const found = count - row * width
    if (found === 0) return
    if (found !== width)
      damaged(path, `has ${found} numbers in line ${row + 1} of numbers, and an image has ${width}`)
    row++
  }
  let inNumber = false
  for (let at = 0; at < text.length; at++) {
    const byte = text[at]!
    if (byte === NEWLINE) endLine()
    else if (!isSpace(byte)) {
      if ((byte !== ZERO && byte !== ONE) || inNumber)
        damaged(
          path,
          `holds '${String.fromCharCode(byte)}' in line ${row + 1} of numbers, where zeros and ones stand alone`
        )
      digits[count++] = byte - ZERO
      inNumber = true
      continue
    }
    inNumber = false
  }
  endLine()
  if (row === 0) damaged(path, 'holds no numbers')
  return digits.slice(0, count)
}
