import { type Batch, checkShape, isReal, type RealArray, sizeOf, type TensorLike } from '../native/batch'
import { fail, isArray, isObject, list, number, object, show } from '../native/check'
import { ArrayDataset } from './dataset'

/** Arrays as data sets. */

/** A context as fromArray and fromRows take it: (rows, size), or one number a row. */
interface ContextInput {
  /** The context of every row. Default: none. */
  context?: Batch | readonly number[]
  /** Names of the context's numbers. Default: none. */
  contextColumns?: readonly string[]
}

function contextOf({ context, contextColumns }: ContextInput, rows: number) {
  if (context === undefined) {
    if (contextColumns)
      fail('CONTRADICTORY_OPTIONS', 'contextColumns names a context that is not there; give context')
    return undefined
  }
  const data = isArray(context) && typeof context[0] === 'number' ? oneEach(context) : (context as Batch)
  return { data, size: contextSize(data, rows), ...(contextColumns && { columns: contextColumns }) }
}

/** One number a row. */
function oneEach(context: readonly unknown[]): Float64Array {
  return Float64Array.from(context, (value, i) => number(value, `context[${i}]`))
}

/** Numbers of a row; 1 where `toRows` will refuse the rest. */
function contextSize(data: Batch, rows: number): number {
  const first: unknown = isArray(data) ? data[0] : undefined
  if (isArray(first) || isReal(first)) return Math.max(1, first.length)
  if (isReal(data)) return Math.max(1, Math.floor(data.length / rows))
  return isObject(data) && isArray(data.shape) ? sizeOf(checkShape([1, ...data.shape.slice(1)])) : 1
}

/** A flat array or a tensor as a data set; `shape` of one sample comes from a tensor where it is left out. */
export function fromArray(
  data: RealArray | TensorLike,
  options: { shape?: readonly number[]; columns?: readonly string[] } & ContextInput = {}
): ArrayDataset {
  const given = object(options, 'fromArray options', ['shape', 'columns', 'context', 'contextColumns'])
  const tensor: Partial<TensorLike> | undefined = isReal(data) || !isObject(data) ? undefined : data
  const { data: values, shape: whole } = tensor ?? { data: data as RealArray }
  const shape = given.shape ?? (isArray(whole) ? whole.slice(1) : undefined)
  if (shape === undefined || (isArray(shape) && shape.length === 0))
    fail(
      'INVALID_SHAPE',
      'the shape of a sample is not known; give { shape: [D] }, or data as { data, shape: [rows, D] }'
    )
  const size = sizeOf(checkShape(shape))
  return new ArrayDataset(
    whole === undefined ? values! : { data: values!, shape: whole },
    shape as number[],
    given.columns as string[],
    contextOf(given, isReal(values) ? Math.max(1, Math.floor(values.length / size)) : 1)
  )
}

/** One array of numbers a row. */
export function fromRows(
  rows: readonly (readonly number[] | RealArray)[],
  options: { columns?: readonly string[] } & ContextInput = {}
): ArrayDataset {
  const given = object(options, 'fromRows options', ['columns', 'context', 'contextColumns'])
  const all = list(rows, 'rows', 'an array with one array a row')
  const first = all[0]
  if (all.length === 0) fail('EMPTY_BATCH', 'rows is empty; give at least one row')
  if ((!isArray(first) && !isReal(first)) || first.length === 0)
    fail('INVALID_INPUT', `rows[0] is ${show(first)}; give an array of numbers a row`)
  return new ArrayDataset(
    all as number[][],
    [first.length],
    given.columns as string[],
    contextOf(given, all.length)
  )
}
