import { fail, nearest } from '../native/check'
import type { Column, FileColumns, TableSchema } from './schema'
import { unnamed } from './schema'

/** Where the columns of a model stand in another file: by name, or by the places that they had in the training file. */

/** Names that the readers give to columns without any: x1, x2 … */
const numbered = /^x([1-9]\d*)$/

/** The columns of a model and, after them, those that it is conditioned on. */
export function modelColumns({ columns, context = [] }: TableSchema): Column[] {
  return [...columns, ...context]
}

/**
 * The names that the columns of a model have in a file, in the model's order. A file without names is read by the
 * places of the training file; where neither names nor places prove which column is which, it is refused.
 * @throws FfjordError INVALID_SHAPE
 */
export function namesIn(path: string, file: FileColumns, schema: TableSchema): string[] {
  return file.named ? byName(path, file.names, schema) : byPlace(path, file.names, schema)
}

function byName(path: string, names: readonly string[], schema: TableSchema): string[] {
  const wanted = modelColumns(schema).map(({ name }) => name)
  const there = new Set(names)
  const missing = wanted.filter((name) => !there.has(name))
  if (missing.length === 0) return wanted
  const list = missing.map((name) => `'${name}'`).join(', ')
  if (!trainedOnNames(schema))
    return fail(
      'INVALID_SHAPE',
      `${path} has no column ${list}: the model was trained on a file without names, and names alone do not tell which ` +
        `of its columns ${shortList(names)} is which; call those ${shortList(fileOf(schema)?.names ?? wanted)} in the order ` +
        'of the training file, or give them without names'
    )
  const [first = ''] = missing
  const near = missing.length === 1 && first.length > 2 ? nearest(first, names) : undefined
  return fail(
    'INVALID_SHAPE',
    `${path} has no column ${list}, which the model was trained on; ${near ? `is it '${near}'? ` : ''}it has ` +
      `${shortList(names)}: rename or add what is missing`
  )
}

function byPlace(path: string, names: readonly string[], schema: TableSchema): string[] {
  const columns = modelColumns(schema)
  const model = columns.map(({ name }) => name)
  const training = fileOf(schema)
  if (!training)
    return fail(
      'INVALID_SHAPE',
      `${path} has no names, and the model does not know the places of its columns ${shortList(model)}; give a file with ` +
        'names, or train again with this version'
    )
  const placeOf = new Map(training.names.map((name, i) => [name, i]))
  const places = columns.map(({ name }) => placeOf.get(name) ?? -1)
  if (names.length === training.names.length) return places.map((place) => names[place]!)
  const all = `all ${training.names.length} columns of the training file (${shortList(training.names)}) in its order`
  if (names.length !== columns.length)
    return fail(
      'INVALID_SHAPE',
      `${path} has ${names.length} columns without names, and the model takes ${columns.length}; give ${all}, or names`
    )
  // The file lacks the columns that the model leaves out: its order must be the same whether it is the training file's or the model's.
  if (places.some((place, i) => i > 0 && place < places[i - 1]!))
    return fail(
      'INVALID_SHAPE',
      `${path} has ${names.length} columns without names, which may stand in the order of the training file or in that of ` +
        `the model (${shortList(model)}); give ${all}, or names`
    )
  return [...names]
}

/** The training file's columns; of schemas that do not hold them, where their names x1, x2 … tell their places. */
function fileOf(schema: TableSchema): FileColumns | undefined {
  if (schema.file) return schema.file
  const place = ({ name }: Column) => Number(numbered.exec(name)?.[1])
  const own = schema.columns.map(place)
  const all = modelColumns(schema)
    .map(place)
    .sort((a, b) => a - b)
  // Columns that the file may have had besides, or an order that somebody chose, leave the places open.
  const inOrder = own.every((one, i) => i === 0 || one > own[i - 1]!)
  return inOrder && all.every((one, i) => one === i + 1)
    ? { names: unnamed(all.length), named: false }
    : undefined
}

function trainedOnNames(schema: TableSchema): boolean {
  return schema.file?.named ?? !modelColumns(schema).every(({ name }) => numbered.test(name))
}

/** 'a, b, c, …' */
function shortList(names: readonly string[]): string {
  return names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '')
}
