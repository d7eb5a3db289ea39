import { type Pickled, unpickled } from '../file/pickle'
import { type Coding, codingOf, type Field, UnreadKind } from './numpy-types'

/** Frames of pandas in HDF5 (DataFrame.to_hdf), of which it makes a group of data sets. */

/** What a reader of HDF5 has to tell of a file. */
export interface Hdf5Reading {
  /** An attribute of a group or data set; undefined where it has none of that name. */
  attribute(path: string, name: string): unknown
  /** The columns that a data set is made of. @throws UnreadKind */
  fields(path: string): Field[]
  /** All cells of a data set of one column. */
  cells(path: string, column: string): unknown[]
}

/** Columns, each with the data set that it lies in. */
export interface FrameColumn {
  name: string
  path: string
  offset: number
  coding: Coding
}

/** Whether a group is a frame of pandas. */
export function isFrame(pandasType: unknown): boolean {
  return pandasType === 'frame' || pandasType === 'frame_table'
}

/** @throws UnreadKind, or Error where the group is not made as pandas does */
export function frameColumns(reading: Hdf5Reading, group: string): FrameColumn[] {
  return reading.attribute(group, 'pandas_type') === 'frame' ? fixed(reading, group) : table(reading, group)
}

/** format='fixed': blocks of columns of one type, beside the names of each. */
function fixed(reading: Hdf5Reading, group: string): FrameColumn[] {
  const blocks = Number(reading.attribute(group, 'nblocks'))
  if (!(blocks >= 0 && blocks <= 10_000)) throw new Error('it has no blocks')
  const found: FrameColumn[] = []
  for (let i = 0; i < blocks; i++) {
    const names = reading.cells(`${group}/block${i}_items`, '').map(String)
    const path = `${group}/block${i}_values`
    if (reading.attribute(path, 'PSEUDOATOM') !== undefined)
      throw new UnreadKind(
        `columns of Python objects (${names.join(', ')}) are pickled in it, which only Python reads; write it with ` +
          "to_hdf(…, format='table'), or to_parquet"
      )
    const kind = reading.attribute(path, 'value_type')
    const zone = reading.attribute(path, 'tz')
    const coding = timely(reading.fields(path)[0]!.coding, kind, zone)
    names.forEach((name, j) => {
      found.push({ name, path, offset: j * coding.width, coding })
    })
  }
  const order = reading.cells(`${group}/axis0`, '').map(String)
  const columns = order.map((name) => found.find((one) => one.name === name))
  if (columns.some((one) => one === undefined) || found.length !== order.length)
    throw new Error('its blocks are not those of its columns')
  return [
    ...index(reading, `${group}/axis1`, 'kind', nameOf(reading.attribute(`${group}/axis1`, 'name'))),
    ...(columns as FrameColumn[])
  ]
}

/** format='table': records, in which columns of one type stand together or have fields of their own. */
function table(reading: Hdf5Reading, group: string): FrameColumn[] {
  const path = `${group}/table`
  const attribute = (name: string) => reading.attribute(path, name)
  const info = dictionary(pickledAttribute(reading, group, 'info'))
  const nothing = reading.attribute(group, 'nan_rep')
  const fields = reading.fields(path)
  const found = fields.flatMap(({ name: place, offset, coding }): FrameColumn[] => {
    const [, member = place, at = '0'] = /^(.*)\[(\d+)\]$/.exec(place) ?? []
    if (member === 'index') return []
    const names = listOf(pickledAttribute(reading, path, `${member}_kind`)).map(String)
    const name = names[Number(at)]
    if (name === undefined) throw new Error(`its field '${place}' has no name`)
    const zone = dictionary(info.get(member) ?? null).get('tz')
    const timed = timely(coding, attribute(`${member}_dtype`), zone)
    if (attribute(`${member}_meta`) === 'category') {
      const levels = reading.cells(`${group}/meta/${member}/meta/table`, 'values')
      return [{ name, path, offset, coding: leveled(timed, levels) }]
    }
    return [{ name, path, offset, coding: timed.type.kind === 'text' ? withNothing(timed, nothing) : timed }]
  })
  const [first] = listOf(pickledAttribute(reading, group, 'non_index_axes'))
  const order = listOf(listOf(first ?? null)[1] ?? null).map(String)
  const columns = order.map((name) => found.find((one) => one.name === name))
  if (columns.some((one) => one === undefined)) throw new Error('its fields are not those of its columns')
  const named = dictionary(info.get('index') ?? null).get('index_name')
  return [...index(reading, path, 'index_kind', nameOf(named)), ...(columns as FrameColumn[])]
}

/** The index as a column, where it is more than the number of a row. */
function index(
  reading: Hdf5Reading,
  path: string,
  kindName: string,
  name: string | undefined
): FrameColumn[] {
  const kind = reading.attribute(path, kindName)
  if (name === undefined && kind === 'integer') return []
  const field = reading.fields(path).find((one) => one.name === '' || one.name === 'index')
  if (!field) return []
  return [
    {
      name: name ?? '__index_level_0__',
      path,
      offset: field.offset,
      coding: timely(field.coding, kind, reading.attribute(path, 'tz'))
    }
  ]
}

/** Whole numbers that pandas says are times. */
function timely(coding: Coding, kind: unknown, zone: unknown): Coding {
  const [, what, unit = 'ns'] = /^(datetime64|timedelta64)(?:\[(\w+)(?:, .*)?\])?$/.exec(String(kind)) ?? []
  if (what === undefined || coding.width !== 8)
    return kind === 'bool' ? { ...coding, type: { kind: 'boolean' } } : coding
  const times = codingOf(`<${what === 'datetime64' ? 'M8' : 'm8'}[${unit}]`)
  const place = nameOf(zone)
  return times.type.kind === 'timestamp' && place !== undefined
    ? { ...times, type: { ...times.type, zone: place } }
    : times
}

function leveled({ width, decode }: Coding, levels: readonly unknown[]): Coding {
  return {
    width,
    type: { kind: 'text' },
    decode: (bytes) =>
      Array.from(decode(bytes), (code) => {
        const level = levels[Number(code)]
        return level === undefined ? null : String(level)
      })
  }
}

function withNothing({ decode, ...coding }: Coding, nothing: unknown): Coding {
  return {
    ...coding,
    decode: (bytes) => Array.from(decode(bytes), (text) => (text === nothing || text === '' ? null : text))
  }
}

/** Names and zones are text, or pickled where they are none. */
function nameOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== 'N.' && value !== '' ? value : undefined
}

function pickledAttribute(reading: Hdf5Reading, path: string, name: string): Pickled {
  return unpickled(String(reading.attribute(path, name)))
}

function listOf(value: Pickled): Pickled[] {
  if (!Array.isArray(value)) throw new Error('an attribute is no list')
  return value
}

function dictionary(value: Pickled): Map<Pickled, Pickled> {
  return value instanceof Map ? value : new Map()
}
