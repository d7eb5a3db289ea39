import { writeFileSync } from 'node:fs'

/** Writes a float64 matrix as numpy.save does. */
export function writeNpy(path: string, data: Float64Array, shape: number[]): void {
  const header = `{'descr': '<f8', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`.padEnd(117)
  const start = Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1')
  writeFileSync(
    path,
    Buffer.concat([start, Buffer.from(`${header}\n`, 'latin1'), new Uint8Array(data.buffer)])
  )
}
