import { damaged, fileBytes } from './file-bytes'

/** A record of CIFAR-10's binary version: the class, then 32 × 32 levels of red, of green and of blue. */

export const CIFAR_SHAPE = [3, 32, 32] as const
const PIXELS = 3 * 32 * 32
const CLASSES = 10

export interface CifarBatch {
  /** (rows, 3, 32, 32) */
  levels: Uint8Array
  labels: Uint8Array
}

export async function readCifar(path: string): Promise<CifarBatch> {
  const bytes = await fileBytes(path)
  const rows = bytes.length / (1 + PIXELS)
  if (bytes.length === 0) damaged(path, 'is empty')
  if (!Number.isInteger(rows))
    damaged(
      path,
      `ends in image ${Math.floor(rows)}: ${bytes.length} bytes are no multiple of ${1 + PIXELS}, a class and 3 × 32 × 32 levels`
    )
  const levels = new Uint8Array(rows * PIXELS)
  const labels = new Uint8Array(rows)
  for (let row = 0; row < rows; row++) {
    const at = row * (1 + PIXELS)
    const label = bytes[at]!
    if (label >= CLASSES)
      damaged(
        path,
        `says class ${label} of image ${row}, and CIFAR-10 has classes 0 to ${CLASSES - 1}`,
        'give CIFAR-10 in its binary version'
      )
    labels[row] = label
    levels.set(bytes.subarray(at + 1, at + 1 + PIXELS), row * PIXELS)
  }
  return { levels, labels }
}
