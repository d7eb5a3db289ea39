import { alike, type CellType } from '../data/cell-type'
import { unnamed } from '../data/schema'
import { fail } from '../native/check'
import { openBytes } from './byte-source'
import { Hdf5File } from './hdf5-file'
import { frameColumns } from './hdf5-pandas'
import { chooseKey } from './npz'
import { arrayBatch, type Coding, type Field, fieldCells, ofArray, UnreadKind } from './numpy-types'
import { optional } from './optional'
import { batchRows, type CellBatch, checkColumns, firstRepeated, plainRow, type TableSource } from './source'

/** Tables of an HDF5 file: arrays, records and frames of pandas. Rows are read in slices. */

/** What a table is made of. */
interface Layout {
  rows: number
  names: string[]
  named: boolean
  types: CellType[]
  /** One row of an array of more than two axes has this shape. */
  shape?: number[]
  /** Data sets, one after the other, and the fields that are columns of the table. */
  parts: { path: string; width: number; fields: Field[] }[]
  /** How an array of one type is coded, which is a data set of its own. */
  coding?: Coding
}

/** `key`, or the only table that is not within a group, or the only one. */
export async function openHdf5(path: string, key: string | undefined): Promise<TableSource> {
  await checkSignature(path)
  const library = await optional(() => import('h5wasm/node'), 'h5wasm', path)
  const module = await library.ready
  // A read that fails otherwise leaves what lay in memory, without a word but on stderr.
  module.activate_throwing_error_handler?.()
  const opened = () => new Hdf5File(library, module, path)
  const file = opened()
  let layout: Layout
  let place: string
  try {
    const name = chosen(path, file.tables(), key?.replace(/^\/+/, ''))
    place = `${path}[${name}]`
    layout = file.explained(place, () =>
      file.isFrame(name) ? frame(file, name) : dataset(file, name, place)
    )
  } finally {
    file.close()
  }
  const { rows, names, named, types, shape, parts, coding } = layout
  checkColumns(place, names.length)
  const repeated = firstRepeated(names)
  if (repeated !== undefined)
    fail('INVALID_FILE', `${place} has two columns named '${repeated}'; give every column a name of its own`)
  const widest = Math.max(...parts.map(({ width }) => width))
  const most = Math.max(1, Math.min(batchRows(names.length), Math.floor(MOST_BYTES / widest)))
  return {
    path: place,
    names,
    named,
    types,
    rows,
    place: plainRow,
    ...(shape && { shape }),
    async *batches({ range = { first: 0, end: rows } } = {}): AsyncGenerator<CellBatch> {
      const file = opened()
      try {
        for (let row = range.first; row < range.end; row += most) {
          const count = Math.min(most, range.end - row)
          yield file.explained(place, () => {
            const [first] = parts
            if (coding)
              return file.read(first!.path, row, count, (bytes) => arrayBatch(coding.decode(bytes), count))
            const cells = new Map<Field, ArrayLike<unknown>>()
            for (const { path, width, fields } of parts)
              file.read(path, row, count, (bytes) => {
                for (const field of fields) cells.set(field, fieldCells(bytes, width, field))
              })
            const all = parts.flatMap(({ fields }) => fields)
            const columns = names.map((name) => cells.get(all.find((one) => one.name === name)!)!)
            return { count, columns }
          })
        }
      } finally {
        file.close()
      }
    }
  }
}

/** A batch of rows takes no more. */
const MOST_BYTES = 2 ** 26

function chosen(path: string, names: readonly string[], key: string | undefined): string {
  const atTop = names.filter((name) => !name.includes('/'))
  return chooseKey(path, names, key ?? (names.length > 1 && atTop.length === 1 ? atTop[0] : undefined))
}

function dataset(file: Hdf5File, path: string, place: string): Layout {
  const [rows = 0, ...axes] = file.shapeOf(path)
  const fields = file.fields(path)
  const [first] = fields
  const width = file.sizeOf(path)
  if (fields.length === 1 && first!.name === '') {
    const coding = file.isText(path) ? ofArray(first!.coding) : first!.coding
    const columns = axes.reduce((product, axis) => product * axis, 1)
    checkColumns(place, columns)
    return {
      rows,
      names: unnamed(columns),
      named: false,
      types: alike(columns, coding.type),
      ...(axes.length > 1 && { shape: axes }),
      parts: [{ path, width: width * columns, fields }],
      coding
    }
  }
  if (axes.length > 0 && fields.map(({ name }) => name).join() === 'r,i')
    throw new UnreadKind('it holds complex numbers; write their real and imaginary parts as columns')
  if (axes.some((axis) => axis !== 1))
    fail(
      'INVALID_FILE',
      `${place} holds records in ${1 + axes.length} axes, and a table has one; write them in one`
    )
  const named = fields.every(({ name }) => !name.startsWith('['))
  const columns = named ? fields : fields.map((field, i) => ({ ...field, name: `x${i + 1}` }))
  return {
    rows,
    names: columns.map(({ name }) => name),
    named,
    types: columns.map(({ coding }) => coding.type),
    parts: [{ path, width, fields: columns }]
  }
}

function frame(file: Hdf5File, group: string): Layout {
  const columns = frameColumns(file, group)
  const paths = [...new Set(columns.map(({ path }) => path))]
  const rows = new Set(paths.map((path) => file.shapeOf(path)[0] ?? 0))
  if (rows.size !== 1) throw new Error('its blocks have rows of different numbers')
  return {
    rows: [...rows][0]!,
    names: columns.map(({ name }) => name),
    named: true,
    types: columns.map(({ coding }) => coding.type),
    parts: paths.map((path) => ({
      path,
      width: file
        .shapeOf(path)
        .slice(1)
        .reduce((product, axis) => product * axis, file.sizeOf(path)),
      fields: columns.filter((one) => one.path === path)
    }))
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
