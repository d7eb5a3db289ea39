import { FfjordError, isFfjordError } from '../native/errors'
import { type Hdf5Reading, isFrame } from './hdf5-pandas'
import { columnsOf, type Module } from './hdf5-types'
import { type Field, fieldCells, UnreadKind } from './numpy-types'

/** An HDF5 file, by h5wasm, whose failures become errors with file, data set and remedy. */

type Library = typeof import('h5wasm/node', { with: { 'resolution-mode': 'import' }})

/** Groups within groups, and data sets, that are looked at. */
const [DEEPEST, MOST_OBJECTS] = [32, 10_000]

export class Hdf5File implements Hdf5Reading {
  readonly #file: InstanceType<Library['File']>

  constructor(
    readonly library: Library,
    readonly module: Module,
    readonly path: string
  ) {
    this.#file = this.explained(path, () => new library.File(path, 'r'))
  }

  /** Paths of all data sets and frames of pandas; the data sets that such a frame is made of are none of their own. */
  tables(): string[] {
    const found: string[] = []
    let objects = 0
    const look = (group: string, depth: number) => {
      const at = group === '' ? this.#file : this.#object(group)
      if (!(at instanceof this.library.Group)) return
      for (const name of at.keys()) {
        if (++objects > MOST_OBJECTS) return
        const path = group === '' ? name : `${group}/${name}`
        const one = this.#object(path)
        if (one instanceof this.library.Dataset) {
          if (this.shapeOf(path).length > 0) found.push(path)
        } else if (this.isFrame(path)) found.push(path)
        else if (one instanceof this.library.Group && depth < DEEPEST) look(path, depth + 1)
      }
    }
    this.explained(this.path, () => look('', 0))
    return found
  }

  isFrame(path: string): boolean {
    return isFrame(this.attribute(path, 'pandas_type'))
  }

  /** Whether the cells of a data set are text, and no levels. */
  isText(path: string): boolean {
    return this.#dataset(path).metadata.type === this.module.H5T_class_t.H5T_STRING.value
  }

  /** Bytes of a cell, or of a record. */
  sizeOf(path: string): number {
    return this.#dataset(path).metadata.size
  }

  shapeOf(path: string): number[] {
    return [...(this.#dataset(path).metadata.shape ?? [])].map(Number)
  }

  attribute(path: string, name: string): unknown {
    const one = this.#object(path)
    if (!(one instanceof this.library.Dataset || one instanceof this.library.Group)) return undefined
    const value = one.attrs[name]?.value
    return value ?? undefined
  }

  fields(path: string): Field[] {
    return columnsOf(this.module, this.#dataset(path).metadata)
  }

  cells(path: string, column: string): unknown[] {
    const field = this.fields(path).find(({ name }) => name === column)
    if (!field) throw new Error(`${path} has no field '${column}'`)
    const { size } = this.#dataset(path).metadata
    return this.read(path, 0, this.shapeOf(path)[0] ?? 0, (bytes) =>
      Array.from(fieldCells(bytes, size, field))
    )
  }

  /** Rows of a data set, as bytes that `work` reads before what they point at is gone. */
  read<T>(path: string, first: number, count: number, work: (bytes: Uint8Array<ArrayBuffer>) => T): T {
    const { module } = this
    const { file_id: file, metadata } = this.#dataset(path)
    const [, ...axes] = this.shapeOf(path)
    const length = axes.reduce((product, axis) => product * axis, count * metadata.size)
    if (length === 0) return work(new Uint8Array(0))
    const at = length < module.MAXIMUM_MEMORY ? module._malloc(length) : 0
    if (at === 0)
      throw new FfjordError(
        'OUT_OF_MEMORY',
        `${this.path}[${path}] takes ${length} bytes for ${count} rows, for which there is no memory; write it in narrower rows`
      )
    const extent = [count, ...axes].map(BigInt)
    try {
      module.HEAPU8.fill(0, at, at + length)
      const offsets = [first, ...axes.map(() => 0)].map(BigInt)
      const strides = extent.map(() => 1n)
      const status = module.get_dataset_data(
        file,
        this.#dataset(path).path,
        extent,
        offsets,
        strides,
        BigInt(at)
      )
      if (status < 0) throw new Error('a read failed')
      return work(module.HEAPU8.slice(at, at + length) as Uint8Array<ArrayBuffer>)
    } finally {
      if (metadata.vlen)
        module.reclaim_vlen_memory_count?.(file, this.#dataset(path).path, '', BigInt(at), extent)
      module._free(at)
    }
  }

  /** What was read stays; a library that failed before may not be able to close its file. */
  close(): void {
    try {
      this.#file.close()
    } catch {
      // The error before is the one that tells what is wrong.
    }
  }

  /** Runs `work` on what `name` stands for. @throws FfjordError */
  explained<T>(name: string, work: () => T): T {
    try {
      return work()
    } catch (cause) {
      if (isFfjordError(cause)) throw cause
      if (cause instanceof UnreadKind)
        throw new FfjordError('UNSUPPORTED_FILE', `${name}: ${cause.message}`, { cause })
      throw new FfjordError(
        'INVALID_FILE',
        `${name} cannot be read as HDF5 (${reasonOf(cause)}); ${REMEDY}`,
        {
          cause
        }
      )
    }
  }

  #object(path: string): unknown {
    return this.#file.get(path)
  }

  #dataset(path: string): InstanceType<Library['Dataset']> {
    const found = this.#object(path)
    if (!(found instanceof this.library.Dataset)) throw new Error(`it has no data set ${path}`)
    return found
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
