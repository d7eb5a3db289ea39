import { FfjordError } from '../native/errors'

/**
 * Refuses columns of which no density exists: constant ones, and those that repeat another one. Noise would hide both,
 * so that the rows come as they stand in the file.
 * @param data (rows, names.length)
 */
export function checkDegenerate(path: string, names: readonly string[], data: ArrayLike<number>): void {
  const width = names.length
  const refuse = (name: string, reason: string) => {
    const column = name.split('=')[0]
    throw new FfjordError(
      'INVALID_FILE',
      `${path}, column '${name}' ${reason}, so that it has no density; leave it out with exclude: ['${column}']`
    )
  }
  // Columns that agree in their sums are compared value by value.
  const sums = new Float64Array(width)
  const same = new Uint8Array(width).fill(1)
  for (let i = 0, c = 0; i < data.length; i++) {
    sums[c]! += data[i]!
    if (data[i] !== data[c]) same[c] = 0
    if (++c === width) c = 0
  }
  names.forEach((name, c) => {
    if (same[c]) refuse(name, `is constant (${data[c]})`)
    for (let other = 0; other < c; other++)
      if (sums[c] === sums[other] && equal(data, width, c, other)) refuse(name, `repeats '${names[other]}'`)
  })
}

function equal(data: ArrayLike<number>, width: number, a: number, b: number): boolean {
  for (let row = 0; row < data.length; row += width) if (data[row + a] !== data[row + b]) return false
  return true
}
