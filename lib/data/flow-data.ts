import { type Batch, sizeOf } from '../native/batch'
import { fail, isObject, nearest } from '../native/check'
import type { NativeDescription } from '../native/interface'
import { sameAtom } from './atom'
import { countedIn, sameClock } from './clock'
import {
  ArrayDataset,
  arranged,
  type Dataset,
  type DatasetContext,
  type FeedingDataset,
  inMemory,
  isDataset
} from './dataset'
import { LawDataset } from './law-dataset'
import { modelColumns, namesIn } from './matching'
import { type Column, elementNames, sameNames, type TableSchema, unnamed } from './schema'

/** Where data become rows for a flow: columns with names come in the order that the flow was trained on. */

/** What a flow knows of its rows. */
interface Trained {
  readonly description: NativeDescription
  readonly table?: TableSchema
}

/**
 * `data` as a data set for a flow. Columns with names are matched with those of `flow.table` by name; arrays, and data
 * sets without names, are taken as they stand (arrays of a conditional flow have no context).
 */
export function toDataset(data: Dataset | Batch, flow: Trained, name: string): FeedingDataset {
  const { shape, context } = flow.description
  const wrapped = isDataset(data) ? data : rowsOf(data as Batch, flow)
  if (wrapped.context && !context)
    fail(
      'CONTRADICTORY_OPTIONS',
      `${name} has a context, which this flow does not take; create it with { context: ${wrapped.context.size} }`
    )
  const dataset = matched(wrapped, flow, name)
  if (sizeOf(dataset.shape) !== sizeOf(shape))
    fail(
      'INVALID_SHAPE',
      `${name} has samples of shape [${dataset.shape}], and the flow [${shape}]; make them agree`
    )
  if (!context) return dataset
  if (!dataset.context)
    fail(
      'MISSING_CONTEXT',
      `${name} has no context, and this flow is conditional; give fromArray a context of ${context.size} numbers a row`
    )
  if (dataset.context.size !== context.size)
    fail(
      'INVALID_SHAPE',
      `${name} has a context of ${dataset.context.size} numbers a row, and the flow takes ${context.size}`
    )
  return dataset
}

/** A batch as a data set, with the context that it brings. */
function rowsOf(batch: Batch, { description: { shape, context } }: Trained): ArrayDataset {
  const own =
    context && isObject(batch) && 'context' in batch ? (batch.context as Batch | undefined) : undefined
  const given = own === undefined ? undefined : { size: context!.size, data: own }
  return new ArrayDataset(batch, shape, undefined, given)
}

/** The test rows with the columns of the training rows, in their order. */
export function withColumnsOf(train: ArrayDataset, test: ArrayDataset): ArrayDataset {
  const { shape, context } = train
  const description = { shape: [...shape], blocks: [], ...(context && { context: conditioning(context) }) }
  const table = tableOf(train)
  return toDataset(test, { description, ...(table && { table }) }, 'test') as ArrayDataset
}

function conditioning({ size, columns }: DatasetContext) {
  return { size, gates: false, ...(columns && { columns: [...columns] }) }
}

/** What a flow that is trained on `dataset` should remember of its columns. */
export function tableOf(dataset: Dataset): TableSchema | undefined {
  if (dataset.schema) return dataset.schema
  // The axes of a law on the plane are no columns of a table.
  if (!dataset.columns || dataset instanceof LawDataset) return undefined
  const plain = (names: readonly string[]): Column[] => names.map((name) => ({ name, type: 'real' }))
  const given = dataset.context?.columns ?? []
  const names = [...dataset.columns, ...given]
  if (new Set(names).size < names.length) return undefined
  return {
    columns: plain(dataset.columns),
    ...(given.length > 0 && { context: plain(given) }),
    file: { names, named: true }
  }
}

/** The data set with its elements where the flow has them. */
function matched(dataset: FeedingDataset, flow: Trained, name: string): FeedingDataset {
  const wanted = wantedElements(dataset, flow, name)
  if (!wanted) return dataset
  const own = dataset.columns ?? dataset.schema?.columns.flatMap((column) => elementNames([column]))
  const names = own ?? unnamed(sizeOf(dataset.shape))
  // A context without names is taken as it stands.
  const given = dataset.context ? (dataset.context.columns ?? wanted.given) : []
  const all = [...names, ...given]
  const missing = [...wanted.own, ...wanted.given].filter((element) => !all.includes(element))
  // toDataset says what a flow needs that gets no context at all.
  if (missing.length > 0 && !dataset.context && sameNames(missing, wanted.given)) return dataset
  const [first] = missing
  if (first !== undefined) refuseMissing(name, first, all, wanted.own.includes(first))
  if (sameNames(names, wanted.own) && sameNames(given, wanted.given)) return dataset
  if (inMemory(dataset)) return arranged(dataset, all, wanted.own, wanted.given)
  return fail(
    'INVALID_INPUT',
    `${name} has the columns ${list(all)}, and the flow takes ${list([...wanted.own, ...wanted.given])}; give a stream in ` +
      'that order'
  )
}

/** Elements of the flow's samples and context, as the data set calls them; undefined where places alone can tell. */
function wantedElements(
  dataset: FeedingDataset,
  { description, table }: Trained,
  name: string
): { own: readonly string[]; given: readonly string[] } | undefined {
  const { context } = description
  if (!table) {
    const names = dataset.context?.columns
    if (!names || !context?.columns) return undefined
    return { own: dataset.columns ?? unnamed(sizeOf(dataset.shape)), given: context.columns }
  }
  const given = context ? (context.columns ?? elementNames(table.context ?? [])) : []
  if (!dataset.schema) {
    // A model of a file without names knows its columns by their places.
    const trainedOnNames = table.file?.named ?? true
    return dataset.columns && trainedOnNames ? { own: elementNames(table.columns), given } : undefined
  }
  const called = namesOf(dataset.schema, table, name)
  const translate = (columns: readonly Column[]) =>
    elementNames(columns.map((column) => ({ ...column, name: called.get(column.name)! })))
  const translated = new Map(
    modelColumns(table).flatMap((column) => {
      const [here, there] = [elementNames([column]), translate([column])]
      return here.map((element, i): [string, string] => [element, there[i]!])
    })
  )
  return { own: translate(table.columns), given: given.map((element) => translated.get(element) ?? element) }
}

/** What a table calls each column of the flow; columns must hold the same in both. */
function namesOf(schema: TableSchema, table: TableSchema, name: string): Map<string, string> {
  const columns = modelColumns(schema)
  const file = schema.file ?? { names: columns.map((column) => column.name), named: true }
  const names = namesIn(name, file, table)
  return new Map(
    modelColumns(table).map((column, i) => {
      const found = columns.find((one) => one.name === names[i])
      if (!found)
        return refuseMissing(
          name,
          names[i]!,
          columns.map((one) => one.name),
          true
        )
      const differs =
        !sameNames(found.levels ?? [], column.levels ?? []) ||
        found.step !== column.step ||
        !sameAtom(found.atom, column.atom) ||
        !sameClock(found.clock, column.clock) ||
        (found.exact ?? false) !== (column.exact ?? false)
      if (differs)
        fail(
          'INVALID_INPUT',
          `${name} has the column '${found.name}' as ${kindOf(found)}, and the flow was trained on ${kindOf(column)}; read ` +
            'the file with { schema: flow.table }'
        )
      return [column.name, found.name]
    })
  )
}

function kindOf(column: Column): string {
  return `${valuesOf(column)}${column.clock ? `, in ${countedIn(column.clock)}` : ''}`
}

function valuesOf({ levels, step, exact, atom }: Column): string {
  if (levels) return `a category of ${list(levels)}${exact ? ' without noise' : ''}`
  if (atom) return `numbers with the atom ${atom.value} at ${atom.place.toPrecision(4)}`
  return step === undefined ? 'numbers as they stand' : `multiples of ${step}, dequantised`
}

function refuseMissing(name: string, missing: string, known: readonly string[], isOwn: boolean): never {
  const near = nearest(missing, known)
  return fail(
    'INVALID_INPUT',
    `${name} has no column '${missing}', which training had; ${near ? `is it '${near}'?` : `it has ${list(known)}:`} ` +
      `rename it${isOwn ? ', or set flow.table to undefined to take columns by their places' : ''}`
  )
}

function list(names: readonly string[]): string {
  return names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '')
}
