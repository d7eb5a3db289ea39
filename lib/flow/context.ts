import { types } from 'node:util'
import { newArray, type Tensor, toRows } from '../native/batch'
import { boolean, fail, integer, isArray, isObject, number, object, show, text } from '../native/check'
import type { NativeArray, NativeDescription } from '../native/interface'
import type { ContextOptions } from './call-options'

/** Where the context of a call becomes what the binding takes: one row a sample, standardised as the flow says. */

export type NormalizedContext = NonNullable<NativeDescription['context']>

interface Conditional {
  readonly description: NativeDescription
}

export function normalizeContext(value: unknown): NormalizedContext {
  if (typeof value === 'number') return { size: integer(value, 'context', 1, 2 ** 24), gates: false }
  const given = object(value, 'context', ['size', 'gates', 'columns', 'mean', 'scale'])
  const size = integer(given.size, 'context.size', 1, 2 ** 24)
  const context: NormalizedContext = { size, gates: boolean(given.gates ?? false, 'context.gates') }
  const list = (key: 'columns' | 'mean' | 'scale', what: string): unknown[] | undefined => {
    const entries = given[key]
    if (entries === undefined) return undefined
    if (isArray(entries) && entries.length === size) return Array.from(entries)
    return fail(
      'INVALID_OPTION',
      `context.${key} is ${show(entries)}; give ${size} ${what}, one a number of context`
    )
  }
  const columns = list('columns', 'names')
  const mean = list('mean', 'numbers')
  const scale = list('scale', 'numbers')
  if ((mean === undefined) !== (scale === undefined))
    fail('INVALID_OPTION', 'context.mean and context.scale go together; give both, or neither')
  if (columns) context.columns = columns.map((one, i) => text(one, `context.columns[${i}]`, 'a name'))
  if (mean) context.mean = mean.map((one, i) => number(one, `context.mean[${i}]`))
  if (scale) context.scale = scale.map((one, i) => number(one, `context.scale[${i}]`, { least: 2 ** -1022 }))
  return context
}

/** The context of `rows` rows, of `batch` or of the options, as the binding takes it; nothing for a flow without one. */
export function contextCall(
  { description }: Conditional,
  options: ContextOptions,
  rows: number,
  batch?: unknown
): { context?: NativeArray } {
  const conditioning = description.context
  const context = contextOf(batch, options)
  if (!conditioning) {
    if (context !== undefined)
      fail(
        'CONTRADICTORY_OPTIONS',
        'this flow takes no context; leave it out, or create it with { context: size }'
      )
    return {}
  }
  const { size } = conditioning
  if (context === undefined)
    fail(
      'MISSING_CONTEXT',
      `this flow is conditional: give { context } with ${size} numbers a row, or one row for all`
    )
  const given = toRows(context, [size], 'context')
  if (given.count !== rows && given.count !== 1)
    fail(
      'INVALID_SHAPE',
      `context has ${given.count} rows, and the call ${rows}; give a context for every row, or one for all`
    )
  const data = standardized(conditioning, given.data)
  if (given.count === rows) return { context: data }
  const all = types.isFloat64Array(data)
    ? newArray(Float64Array, rows * size)
    : newArray(Float32Array, rows * size)
  for (let row = 0; row < rows; row++) all.set(data, row * size)
  return { context: all }
}

/** A batch of a data set brings the context of its rows. */
function contextOf(batch: unknown, { context }: ContextOptions): ContextOptions['context'] {
  const own = isObject(batch) ? (batch.context as ContextOptions['context']) : undefined
  if (own !== undefined && context !== undefined)
    fail('CONTRADICTORY_OPTIONS', 'the batch has a context of its own; leave out the option context')
  return own ?? context
}

/** (c − mean) / scale, where the flow has them: in float64, whatever the context came in. */
export function standardized({ size, mean, scale }: NormalizedContext, values: NativeArray): NativeArray {
  if (!mean || !scale) return values
  return Float64Array.from(values, (value, i) => (value - mean[i % size]!) / scale[i % size]!)
}

/** Whether a call asks for the cotangent of its context, which a conditional flow alone has. */
export function wantsContextGradient(
  { description }: Conditional,
  { contextGradient }: { contextGradient?: boolean }
): boolean {
  const wanted = boolean(contextGradient ?? false, 'contextGradient')
  if (wanted && !description.context)
    fail('CONTRADICTORY_OPTIONS', 'this flow takes no context, so it has no contextGradient; leave it out')
  return wanted
}

/** A cotangent of the binding as one of the caller's context, (B, size), in the same array. */
export function contextGradientOf<A extends NativeArray>({ description }: Conditional, values: A): Tensor<A> {
  const { size, scale } = description.context!
  const given: NativeArray = values
  if (scale) for (let i = 0; i < given.length; i++) given[i]! /= scale[i % size]!
  return { data: values, shape: [values.length / size, size] }
}
