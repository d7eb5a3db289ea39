import { fail } from '../check'
import { FfjordError } from '../errors'
import { chooseKey } from './npz'
import { openBytes } from './numpy'
import { optional } from './optional'
import { batchRows, type NumberArray, plainRow, type RowBatch, type TableSource, unnamed } from './source'

/** A data set of an HDF5 file, by h5wasm: `key`, or the only one at the top. Rows are read in slices. */
export async function openHdf5(path: string, key: string | undefined): Promise<TableSource> {
  await checkSignature(path)
  const h5wasm = await optional(() => import('h5wasm/node'), 'h5wasm', path)
  await h5wasm.ready
  type File = InstanceType<typeof h5wasm.File>
  const opened = (): File => {
    try {
      return new h5wasm.File(path, 'r')
    } catch (cause) {
      throw new FfjordError('INVALID_FILE', `${path} cannot be read as HDF5; write it again`, { cause })
    }
  }
  const dataset = (file: File, name: string) => {
    const found = file.get(name)
    return found instanceof h5wasm.Dataset ? found : undefined
  }
  const file = opened()
  let shape: number[]
  let name: string
  try {
    name = chooseKey(
      path,
      file.keys().filter((one) => dataset(file, one)),
      key
    )
    shape = [...(dataset(file, name)!.shape ?? [])]
  } finally {
    file.close()
  }
  if (shape.length === 0)
    fail('INVALID_FILE', `${path}[${name}] holds a single value; give a table of numbers`)
  const [rows, columns] = [shape[0]!, shape.slice(1).reduce((product, axis) => product * axis, 1)]
  return {
    path: `${path}[${name}]`,
    names: unnamed(columns),
    named: false,
    rows,
    place: plainRow,
    ...(shape.length > 2 && { shape: shape.slice(1) }),
    async *batches(): AsyncGenerator<RowBatch> {
      const file = opened()
      try {
        const table = dataset(file, name)!
        const most = batchRows(columns)
        for (let row = 0; row < rows; row += most) {
          const last = Math.min(row + most, rows)
          const matrix = table.slice([[row, last], ...shape.slice(1).map((): [] => [])]) as NumberArray
          if (!ArrayBuffer.isView(matrix))
            fail('INVALID_FILE', `${path}[${name}] holds no numbers; choose another data set with key`)
          yield { count: last - row, matrix }
        }
      } finally {
        file.close()
      }
    }
  }
}

/** The library writes its own account of a file that is no HDF5 to stderr, so such a file never gets there. */
async function checkSignature(path: string): Promise<void> {
  const bytes = await openBytes(path)
  try {
    // The format's superblock stands at the start, or behind a user block of 512, 1024 … bytes.
    for (let at = 0; at < bytes.size; at = at === 0 ? 512 : 2 * at) {
      const signature = Buffer.from(await bytes.read(at, 8)).toString('latin1')
      if (signature === '\x89HDF\r\n\x1a\n') return
    }
  } finally {
    await bytes.close()
  }
  fail('INVALID_FILE', `${path} is no HDF5 file; write it with h5py or another HDF5 library`)
}
