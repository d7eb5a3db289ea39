import { isSystemError, unreadable } from '../file/file-errors'
import { fail } from '../native/check'
import { FfjordError, isFfjordError } from '../native/errors'
import { type ByteSource, openBytes } from './byte-source'
import { CellMemory } from './cell-memory'
import { type ColumnReading, columnReading, storedElement } from './parquet-columns'
import { checkContent, checkLevels, type PageCoding, pagesOf } from './parquet-pages'
import { batchRows, type CellBatch, cellsWithin, firstRepeated, plainRow, type TableSource } from './source'

type Library = typeof import('hyparquet', { with: { 'resolution-mode': 'import' }})
type Metadata = Awaited<ReturnType<Library['parquetMetadataAsync']>>
type RowGroup = Metadata['row_groups'][number]
type SchemaTree = ReturnType<Library['parquetSchema']>
type Compressors = typeof import('hyparquet-compressors', { with: {
  'resolution-mode': 'import'
}})['compressors']

/** Rows of one row group, of which all are decoded at once. */
const MOST_ROWS = 5e7

/** Parquet by hyparquet, a row group (or a part of a large one) at a time, once its pages were found to be sound. */
export async function openParquet(
  path: string,
  progress: () => void = () => undefined
): Promise<TableSource> {
  const { parquetMetadataAsync, parquetRead, parquetSchema } = await import('hyparquet')
  const { compressors } = await import('hyparquet-compressors')
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      if (isFfjordError(cause) || isSystemError(cause)) throw unreadable(path, cause)
      const { message } = cause as Error
      throw new FfjordError(
        'INVALID_FILE',
        `${path} cannot be read as Parquet (${message}); write it again`,
        { cause }
      )
    }
  }
  const { metadata, tree } = await withBytes(path, (bytes) =>
    explained(async () => {
      if (bytes.size < 12) throw new Error('it is too short')
      const metadata = await parquetMetadataAsync({
        byteLength: bytes.size,
        slice: (start, end) => slice(bytes, start, end ?? bytes.size)
      })
      const tree = parquetSchema(metadata)
      checkGroups(metadata, tree)
      return { metadata, tree }
    })
  )
  const names = tree.children.map(({ element }) => element.name)
  const repeated = firstRepeated(names)
  if (repeated !== undefined)
    fail('INVALID_FILE', `${path} has two columns named '${repeated}'; give every column a name of its own`)
  const readings = tree.children.map(columnReading)
  const asStored = storedSchema(metadata, tree, readings)
  const rows = Number(metadata.num_rows)
  if (rows === 0) fail('EMPTY_BATCH', `${path} has no rows; give a file with at least one row`)
  return {
    path,
    names,
    named: true,
    types: readings.map(({ type }) => type),
    rows,
    place: plainRow,
    async *batches({ range = { first: 0, end: rows } } = {}): AsyncGenerator<CellBatch> {
      const bytes = await openBytes(path)
      try {
        const most = batchRows(names.length)
        const memory = new CellMemory(path)
        let first = 0
        for (const group of metadata.row_groups) {
          const end = first + Number(group.num_rows)
          const [start, stop] = [Math.max(first, range.first), Math.min(end, range.end)]
          if (start >= stop) {
            first = end
            continue
          }
          // A group is decoded as a whole, so that cutting it would decode it again and again.
          const columns: ArrayLike<unknown>[] = []
          memory.clear()
          for (const [c, column] of tree.children.entries()) {
            memory.expect(mostValues(group, column))
            const read = async () => {
              const stored = await readColumn(bytes, group, column, [first, end], readings[c]!)
              return readings[c]!.cells(stored)
            }
            columns.push(memory.keep(await explained(read)))
            progress()
          }
          for (let row = start; row < stop; row += most) {
            const last = Math.min(row + most, stop)
            yield {
              count: last - row,
              columns: columns.map((cells) => cellsWithin(cells, row - first, last - first))
            }
          }
          first = end
        }
      } finally {
        await bytes.close()
      }
    }
  }

  async function readColumn(
    bytes: ByteSource,
    group: RowGroup,
    column: SchemaTree,
    [rowStart, rowEnd]: [number, number],
    reading: ColumnReading
  ): Promise<ArrayLike<unknown>> {
    if (rowStart === rowEnd) return []
    const { name } = column.element
    const held: { start: number; data: ArrayBuffer }[] = []
    const checks: ((content: Uint8Array) => void)[] = []
    for (const { meta_data: meta } of group.columns) {
      if (meta?.path_in_schema[0] !== name) continue
      const start = Number(meta.dictionary_page_offset || meta.data_page_offset)
      const data = await slice(bytes, start, start + Number(meta.total_compressed_size))
      const coding = codingOf(column, meta.path_in_schema)
      const pages = pagesOf(new Uint8Array(data), {
        values: Number(meta.num_values),
        rows: rowEnd - rowStart,
        repeated: coding.repetition > 0,
        nested: meta.path_in_schema.length > 1
      })
      for (const page of pages) {
        if (page.kind === 'data 2') checkLevels(page, coding)
        const [repetition, definition] = page.levels
        if (meta.codec === 'UNCOMPRESSED' || !page.packed)
          checkContent(page.content.subarray(repetition + definition), page, coding)
        // The others are unpacked in their order.
        else checks.push((content) => checkContent(content, page, coding))
      }
      held.push({ start, data })
    }
    const chunks: ArrayLike<unknown>[] = []
    await parquetRead({
      file: {
        byteLength: bytes.size,
        slice: (start, end = bytes.size) => {
          const whole = held.find((one) => one.start === start && one.data.byteLength === end - start)
          return whole ? whole.data : slice(bytes, start, end)
        }
      },
      metadata: reading.asStored ? asStored : metadata,
      columns: [name],
      utf8: !reading.asStored,
      // Nothing but their kind says of times in 96 bits that they are times.
      parsers: { timestampFromNanoseconds: (count: bigint) => count },
      compressors: checking(compressors, checks),
      rowStart,
      rowEnd,
      onPage: progress,
      onChunk: ({ columnData }) => chunks.push(columnData)
    })
    const cells = chunks.length === 1 ? chunks[0]! : joined(chunks)
    if (cells.length !== rowEnd - rowStart)
      throw new Error(`column '${name}' has ${cells.length} cells in ${rowEnd - rowStart} rows`)
    return cells
  }
}

/** The metadata of a file whose columns are to be read as they are stored. */
function storedSchema(metadata: Metadata, tree: SchemaTree, readings: readonly ColumnReading[]): Metadata {
  const plain = new Set(tree.children.flatMap(({ element }, c) => (readings[c]!.asStored ? [element] : [])))
  const schema = metadata.schema.map((element) => (plain.has(element) ? storedElement(element) : element))
  return { ...metadata, schema }
}

async function withBytes<T>(path: string, work: (bytes: ByteSource) => Promise<T>): Promise<T> {
  const bytes = await openBytes(path)
  try {
    return await work(bytes)
  } finally {
    await bytes.close()
  }
}

/** Bytes of a file that must hold them all. */
async function slice(bytes: ByteSource, start: number, end: number): Promise<ArrayBuffer> {
  if (!(start >= 0 && start <= end && end <= bytes.size))
    throw new Error(`bytes ${start} to ${end} lie outside of it`)
  return (await bytes.read(start, end - start)).buffer
}

/** What a file says of its row groups agrees with itself and its schema. */
function checkGroups({ num_rows, row_groups }: Metadata, tree: SchemaTree): void {
  const leaves = leavesOf(tree)
  let rows = 0
  for (const { num_rows, columns } of row_groups) {
    const count = Number(num_rows)
    if (!(count >= 0 && count <= MOST_ROWS))
      throw new Error(`a row group claims ${count} rows, more than ${MOST_ROWS}`)
    rows += count
    const paths = columns.map(({ meta_data }) => meta_data?.path_in_schema.join('\0'))
    if (paths.length !== leaves.length || leaves.some(({ path }, i) => path.join('\0') !== paths[i]))
      throw new Error('the columns of a row group are not those of its schema')
    columns.forEach(({ meta_data }, i) => {
      const { type } = leaves[i]!.element
      if (meta_data?.type !== type) throw new Error(`a column of ${type} holds ${meta_data?.type}`)
    })
  }
  if (rows !== Number(num_rows)) throw new Error(`its row groups hold ${rows} rows of ${num_rows}`)
}

/** Values that a column claims within a row group. */
function mostValues({ columns, num_rows }: RowGroup, { element }: SchemaTree): number {
  const claims = columns.map(({ meta_data: meta }) =>
    meta?.path_in_schema[0] === element.name ? Number(meta.num_values) : 0
  )
  return Math.max(Number(num_rows), ...claims)
}

function leavesOf(tree: SchemaTree): SchemaTree[] {
  return tree.children.length === 0 ? [tree] : tree.children.flatMap(leavesOf)
}

/** Levels of the column at `path`, which begins with that of `tree`. */
function codingOf(tree: SchemaTree, path: readonly string[]): PageCoding {
  let node: SchemaTree | undefined = tree
  let [repetition, definition] = [0, 0]
  for (let depth = 0; node; depth++) {
    const { repetition_type } = node.element
    if (repetition_type === 'REPEATED') repetition++
    if (repetition_type !== 'REQUIRED') definition++
    if (depth === path.length - 1) return { repetition, definition, boolean: node.element.type === 'BOOLEAN' }
    node = node.children.find(({ element }) => element.name === path[depth + 1])
  }
  throw new Error(`its schema has no column ${path.join('.')}`)
}

/** The same codecs, which check every page that they unpack. */
function checking(codecs: Compressors, checks: readonly ((content: Uint8Array) => void)[]): Compressors {
  let page = 0
  return Object.fromEntries(
    Object.entries(codecs).map(([name, unpack]) => [
      name,
      (input: Uint8Array, length: number) => {
        const content = unpack(input, length)
        if (content.length === length) checks[page++]?.(content)
        return content
      }
    ])
  )
}

function joined(chunks: ArrayLike<unknown>[]): ArrayLike<unknown> {
  const [first] = chunks
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const alike = chunks.every((chunk) => ArrayBuffer.isView(chunk) && chunk.constructor === first!.constructor)
  const all: unknown[] | Float64Array = alike
    ? new (first!.constructor as Float64ArrayConstructor)(length)
    : new Array(length)
  let at = 0
  for (const chunk of chunks)
    if (alike) {
      ;(all as Float64Array).set(chunk as Float64Array, at)
      at += chunk.length
    } else for (let i = 0; i < chunk.length; i++) all[at++] = chunk[i] as number
  return all
}
