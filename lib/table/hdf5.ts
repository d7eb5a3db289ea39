import { alike, written } from '../data/cell-type'
import { unnamed } from '../data/schema'
import { fail } from '../native/check'
import { FfjordError, isFfjordError } from '../native/errors'
import { openBytes } from './byte-source'
import { chooseKey } from './npz'
import { optional } from './optional'
import {
  batchRows,
  checkColumns,
  type NumberArray,
  plainRow,
  type RowBatch,
  type TableSource
} from './source'

/** A data set of an HDF5 file, by h5wasm: `key`, or the only one at the top. Rows are read in slices. */
export async function openHdf5(path: string, key: string | undefined): Promise<TableSource> {
  await checkSignature(path)
  const h5wasm = await optional(() => import('h5wasm/node'), 'h5wasm', path)
  const { activate_throwing_error_handler: throwErrors } = await h5wasm.ready
  // A read that fails otherwise leaves what lay in memory, without a word but on stderr.
  throwErrors?.()
  type File = InstanceType<typeof h5wasm.File>
  const explained = <T>(name: string, work: () => T): T => {
    try {
      return work()
    } catch (cause) {
      if (isFfjordError(cause)) throw cause
      throw new FfjordError(
        'INVALID_FILE',
        `${name} cannot be read as HDF5 (${reasonOf(cause)}); ${REMEDY}`,
        {
          cause
        }
      )
    }
  }
  const opened = (): File => explained(path, () => new h5wasm.File(path, 'r'))
  const dataset = (file: File, name: string) => {
    const found = file.get(name)
    return found instanceof h5wasm.Dataset ? found : undefined
  }
  const file = opened()
  let shape: number[]
  let name: string
  try {
    const names = explained(path, () => file.keys().filter((one) => dataset(file, one)))
    name = chooseKey(path, names, key)
    shape = explained(`${path}[${name}]`, () => [...(dataset(file, name)!.shape ?? [])].map(Number))
  } finally {
    closed(file)
  }
  const place = `${path}[${name}]`
  if (shape.length === 0) fail('INVALID_FILE', `${place} holds a single value; give a table of numbers`)
  const [rows, columns] = [shape[0]!, shape.slice(1).reduce((product, axis) => product * axis, 1)]
  checkColumns(place, columns)
  return {
    path: place,
    names: unnamed(columns),
    named: false,
    types: alike(columns, written),
    rows,
    place: plainRow,
    ...(shape.length > 2 && { shape: shape.slice(1) }),
    async *batches(): AsyncGenerator<RowBatch> {
      const file = opened()
      try {
        const table = explained(place, () => dataset(file, name))
        if (!table) throw new FfjordError('INVALID_FILE', `${place} is no longer there; write it again`)
        const most = batchRows(columns)
        for (let row = 0; row < rows; row += most) {
          const last = Math.min(row + most, rows)
          const all = shape.slice(1).map((): [] => [])
          const matrix = explained(place, () => table.slice([[row, last], ...all])) as NumberArray
          if (!ArrayBuffer.isView(matrix))
            fail('INVALID_FILE', `${place} holds no numbers; choose another data set with key`)
          if (matrix.length !== (last - row) * columns)
            fail('INVALID_FILE', `${place} has ${matrix.length} numbers in ${last - row} rows; ${REMEDY}`)
          yield { count: last - row, matrix }
        }
      } finally {
        closed(file)
      }
    }
  }

  /** What was read stays; a library that failed before may not be able to close its file. */
  function closed(file: File): void {
    try {
      file.close()
    } catch {
      // The error before is the one that tells what is wrong.
    }
  }
}

const REMEDY =
  'write its numbers as float32, float64 or integers, uncompressed or with gzip, or write it again'

/** The innermost of the library's messages, which come as a stack of them. */
function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause)
  const lines = text.split('\n').map((line) => line.trim())
  const steps = lines.filter((line) => /^#\d+:/.test(line)).map((line) => line.replace(/^.*?: (?=[a-z])/, ''))
  // A codec that is missing is looked for at last, in folders that tell nobody anything.
  const codec = steps.find((line) => line.includes('filter'))
  return (codec ?? steps.at(-1) ?? lines.find((line) => line !== '') ?? text).slice(0, 200)
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
