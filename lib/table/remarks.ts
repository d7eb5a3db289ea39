import { type ArrayDataset, inMemory } from '../data/dataset'
import { type Column, columnWidth, elementNames, unnamed } from '../data/schema'
import { sizeOf } from '../native/batch'
import { fail } from '../native/check'
import { curves, linearDependences } from './dependence'
import { Distribution } from './distribution'
import { apparentDate, countsRows, identifies } from './non-quantities'
import { apparentEnds, atomsOf, heavyTail } from './shape'

/** What a user should know of columns before a density is learnt of them. */

export type RemarkKind =
  | 'constant'
  | 'row-number'
  | 'id'
  | 'long-number'
  | 'date'
  | 'atom'
  | 'repeated'
  | 'function'
  | 'tail'
  | 'bounds'

/** Options of `fromFile`, and flags of `train`, that mend what was found. */
export interface RemarkOptions {
  exclude?: string[]
  dequantize?: Record<string, number>
  bounds?: Record<string, [number | null, number | null]>
  atoms?: Record<string, number>
  /** Leaves out the rows that `bounds` refuse. */
  invalid?: 'drop'
}

export interface Remark {
  column: string
  kind: RemarkKind
  /** What was found: "column 'paid' is 0 in 70 % of the rows, and …". */
  finding: string
  /** What to do, and the options that do it. */
  remedy: string
  options: RemarkOptions
  /** All of it in one sentence. */
  message: string
}

/** Rows looked at, spread over all. */
const LOOKED_AT = 10_000
/** All columns together have no more numbers that are looked at. */
const NUMBERS_LOOKED_AT = 2 ** 22
/** Fewer rows show little. */
const LEAST_ROWS = 20
/** Fewer different values than this share of the rows can be told apart from a density by more training alone. */
const FEW = 0.05
/** For pairs of columns: their number grows with the square of the columns. */
const PAIRED_ROWS = 5000
const MOST_PAIRED = 128

/** A column with numbers of it: `values[i]` stands in row `numbers[i]` of the file. */
interface Numbers {
  column: Column
  values: Float64Array
  numbers: ArrayLike<number>
  distribution: Distribution
  given: boolean
}

/**
 * What would make a density of these columns meaningless or hard to learn: values that repeat, columns that count rows,
 * identify them, are dates or follow from others, tails and ends that a plain flow cannot follow. One pass over up to 10,000
 * rows that are spread over all; rows should stand as in their file.
 * @returns none of sound data
 */
export function remarksOn(dataset: ArrayDataset): Remark[] {
  if (!inMemory(dataset))
    fail(
      'INVALID_INPUT',
      'remarksOn looks at rows in memory; give it what fromFile returns, or stream.take(rows)'
    )
  const { schema, columns, shape, context, data, contextData, rows } = dataset
  const plain = (names: readonly string[]): Column[] => names.map((name) => ({ name, type: 'real' }))
  const own = schema?.columns ?? plain(columns ?? unnamed(sizeOf(shape)))
  const given = context
    ? (schema?.context ?? plain(context.columns ?? unnamed(context.size).map((name) => `context ${name}`)))
    : []
  const names = given.map(({ name }) => name)
  return remarksOnRows(
    [
      { columns: own, data, width: sizeOf(shape), given: [], noisy: true },
      ...(context
        ? [{ columns: given, data: contextData!, width: context.size, given: names, noisy: true }]
        : [])
    ],
    rows
  )
}

export interface Part {
  columns: readonly Column[]
  /** (rows, width) */
  data: ArrayLike<number>
  width: number
  /** Those that are a context. */
  given: readonly string[]
  /** Whether columns with a step were dequantised. */
  noisy: boolean
}

/** The same of rows that are a sample of a file, in its order: `numbers` are theirs in the file. */
export function remarksOnRows(parts: readonly Part[], rows: number, numbers?: ArrayLike<number>): Remark[] {
  if (rows < LEAST_ROWS) return []
  const width = parts.reduce((sum, part) => sum + part.width, 0)
  const looked = Math.min(rows, LOOKED_AT, Math.max(LEAST_ROWS, Math.floor(NUMBERS_LOOKED_AT / width)))
  const places = Array.from({ length: looked }, (_, i) => Math.floor((i * rows) / looked))
  const numbersOf = numbers ? places.map((place) => numbers[place]!) : places
  const found = parts.flatMap(({ columns, data, width, given, noisy }) => {
    if (elementNames(columns).length !== width) return []
    let first = 0
    return columns.flatMap((column): Numbers[] => {
      const at = first
      first += columnWidth(column)
      // Rows on an atom were spread by noise.
      if (column.levels || column.atom) return []
      const step = noisy ? column.step : undefined
      const values = new Float64Array(looked)
      places.forEach((row, i) => {
        const value = data[row * width + at]!
        values[i] = step === undefined ? value : Math.floor(value / step) * step
      })
      const distribution = new Distribution(values)
      return [{ column, values, numbers: numbersOf, distribution, given: given.includes(column.name) }]
    })
  })
  // Steps that are named take the place of those that would be found, so that all are named.
  const steps = Object.fromEntries(
    found.flatMap((numbers): [string, number][] => {
      const step = numbers.column.step ?? (repeatsOften(numbers) ? numbers.distribution.step : undefined)
      return step === undefined || numbers.given ? [] : [[numbers.column.name, step]]
    })
  )
  const single = parts.some(({ data }) => data instanceof Float32Array)
  // So that all atoms are named, too: what is given twice counts once.
  const atoms = Object.fromEntries(
    found.flatMap((numbers): [string, number][] => {
      const value = onlyAtom(numbers)
      const quantity = value !== undefined && !numbers.given && !nonQuantity(numbers, single)
      return quantity ? [[numbers.column.name, value]] : []
    })
  )
  const alone = new Map(
    found.map((numbers) => [
      numbers,
      constant(numbers) ?? nonQuantity(numbers, single) ?? repeats(numbers, steps, atoms)
    ])
  )
  // What is no quantity explains nothing, and nothing explains it.
  const quantities = found.filter((numbers) => !excluding.has(alone.get(numbers)?.kind ?? 'tail'))
  const dependent = dependences(quantities)
  return found.flatMap((numbers): Remark[] => {
    const first = alone.get(numbers)
    // Everything about a context is learnt from, and nothing of its law.
    if (numbers.given) return first && excluding.has(first.kind) ? [first] : []
    const follows = dependent.get(numbers)
    return [first, follows ?? (first ? undefined : shapeRemark(numbers))].filter((one) => one !== undefined)
  })
}

const excluding: ReadonlySet<RemarkKind> = new Set(['constant', 'row-number', 'id', 'long-number', 'date'])

export function remark(
  { column: { name } }: { column: Pick<Column, 'name'> },
  kind: RemarkKind,
  finding: string,
  remedy: string,
  options: RemarkOptions
): Remark {
  const text = Object.entries(options).map(([key, value]) => `${key}: ${inProgram(value)}`)
  const full = `column '${name}' ${finding}`
  return {
    column: name,
    kind,
    finding: full,
    remedy,
    options,
    message: `${full}; ${remedy} (${text.join(', ')})`
  }
}

function inProgram(value: unknown): string {
  return JSON.stringify(value).replaceAll('"', "'")
}

function leaveOut(numbers: Numbers, kind: RemarkKind, finding: string, before = ''): Remark {
  return remark(numbers, kind, finding, `${before}leave it out`, { exclude: [numbers.column.name] })
}

function constant(numbers: Numbers): Remark | undefined {
  const { values } = numbers.distribution
  return values.length === 1
    ? leaveOut(numbers, 'constant', `is ${values[0]} in every row, and a constant has no density`)
    : undefined
}

function nonQuantity(numbers: Numbers, single: boolean): Remark | undefined {
  const { column, values, distribution } = numbers
  const date = column.clock ? undefined : apparentDate(distribution, single)
  if (date)
    return leaveOut(
      numbers,
      'date',
      `looks like ${date}, and not like a quantity`,
      'give what may matter as numbers (days since a first day, month, hour), or '
    )
  const step = countsRows(values, numbers.numbers)
  if (step !== undefined)
    return leaveOut(
      numbers,
      'row-number',
      `rises by ${short(step)} from row to row: it is a row number or an index, which says nothing of a row`
    )
  const identity = column.clock ? 'no' : identifies(column.name, distribution)
  if (identity === 'surely')
    return leaveOut(
      numbers,
      'id',
      'has another whole number in every row: it is an id, which says nothing of a row'
    )
  if (identity === 'perhaps')
    return leaveOut(
      numbers,
      'long-number',
      'has another whole number of as many digits in every row: it may be an id, which says nothing of a row',
      'where it is one, '
    )
  return undefined
}

function repeatsOften({ distribution: { values, rows } }: Numbers): boolean {
  return values.length > 1 && values.length <= FEW * rows
}

/** The atom of a column that has one; undefined where there are several, or all values repeat. */
function onlyAtom(numbers: Numbers): number | undefined {
  const { column, distribution } = numbers
  if (column.step !== undefined || distribution.values.length === 1 || repeatsOften(numbers)) return undefined
  const [only, ...more] = atomsOf(distribution)
  return only && more.length === 0 ? inFile(only.value) : undefined
}

function repeats(
  numbers: Numbers,
  steps: Record<string, number>,
  all: Record<string, number>
): Remark | undefined {
  const { column, distribution } = numbers
  if (column.step !== undefined) return undefined
  const { values, rows, step } = distribution
  if (repeatsOften(numbers)) {
    const finding = `has only ${values.length} different values in ${rows} rows, so that its density can grow without bound`
    return step === undefined
      ? leaveOut(numbers, 'repeated', finding, 'write them as text and take them as a category, or ')
      : remark(numbers, 'repeated', finding, `dequantise these multiples of ${short(step)}`, {
          dequantize: steps
        })
  }
  const atoms = atomsOf(distribution)
  if (atoms.length === 0) return undefined
  const shares = atoms.map(({ value, share }) => `${short(value)} in ${percent(share)}`).join(' and ')
  const finding = `is exactly ${shares} of the rows, where its density grows without bound`
  if (onlyAtom(numbers) !== undefined)
    return remark(numbers, 'atom', finding, 'give it a probability of its own', { atoms: all })
  const { least, largest } = distribution
  if (!atoms.every(({ value }) => value === least || value === largest))
    return leaveOut(numbers, 'atom', finding, 'learn the rows without such values apart, or ')
  // Open intervals do not hold their ends.
  const end = (value: number) => (atoms.some((atom) => atom.value === value) ? inFile(value) : null)
  const others = 1 - atoms.reduce((sum, { share }) => sum + share, 0)
  return remark(
    numbers,
    'atom',
    finding,
    `leave it out, or learn the other rows alone, whose densities are then to be multiplied by ${+others.toPrecision(2)}`,
    { bounds: { [column.name]: [end(least), end(largest)] }, invalid: 'drop' }
  )
}

/** Says of a column without other remarks where a plain flow would be a poor fit. */
function shapeRemark(numbers: Numbers): Remark | undefined {
  const { column, distribution } = numbers
  const { name, lower, upper, step } = column
  if (lower !== undefined || upper !== undefined) return undefined
  const tail = heavyTail(distribution, step)
  if (tail !== undefined) {
    const finding =
      `reaches ${short(tail.value)}, ${short(tail.deviations)} times as far from the middle as half of the rows lie, ` +
      'which a plain flow cannot follow'
    return distribution.least > 0
      ? remark(numbers, 'tail', finding, 'take logarithms, as bounds do', { bounds: { [name]: [0, null] } })
      : leaveOut(numbers, 'tail', finding, 'look for errors of entry, give asinh of it, or ')
  }
  const ends = apparentEnds(distribution, step)
  if (!ends) return undefined
  const [low, high] = ends
  const words = [
    ...(low === null ? [] : [`never lies below ${low}`]),
    ...(high === null ? [] : [`never lies above ${high}`])
  ].join(' and ')
  return remark(
    numbers,
    'bounds',
    `${words}, and has many values there: samples would cross it`,
    'keep them inside',
    {
      bounds: { [name]: ends }
    }
  )
}

/** Columns that follow from others; a context comes first, so that the others follow from it. */
function dependences(quantities: readonly Numbers[]): Map<Numbers, Remark> {
  const order = [...quantities].sort((a, b) => Number(b.given) - Number(a.given))
  const found = new Map<Numbers, Remark>()
  const steps = order.map(({ column }) => digitStep(column))
  for (const { column, on } of linearDependences(
    order.map(({ values }) => values),
    steps
  )) {
    const numbers = order[column]!
    const [first, ...others] = on.map((one) => `'${order[one]!.column.name}'`)
    if (first === undefined) continue
    const finding =
      others.length === 0
        ? `is ${first} in other units, so that together they have no density`
        : `is a linear combination of ${[first, ...others].slice(0, 4).join(', ')}${others.length > 3 ? ' …' : ''}, so that ` +
          'together they have no density'
    found.set(numbers, leaveOut(numbers, 'function', finding))
  }
  const continuous = order.filter(
    (one) => !found.has(one) && one.distribution.values.length > 0.5 * one.values.length
  )
  if (continuous.length > MOST_PAIRED) return found
  const stride = Math.ceil((order[0]?.values.length ?? 0) / PAIRED_ROWS)
  const thinned = continuous.map(({ values }) => values.filter((_, i) => i % stride === 0))
  for (const { column, on } of curves(thinned)) {
    const [numbers, other] = [continuous[column]!, continuous[on[0]!]!]
    const finding = `follows from '${other.column.name}', so that together they have no density`
    found.set(numbers, leaveOut(numbers, 'function', finding))
  }
  return found
}

/** What all numbers of a column are multiples of, as its digits tell; 0 where they do not. */
function digitStep({ cells }: Column): number {
  if (cells?.kind === 'decimal') return 10 ** -cells.scale
  return cells?.kind === 'written' && cells.digits !== undefined ? 10 ** -cells.digits : 0
}

function short(value: number): string {
  return String(+value.toPrecision(4))
}

/** The shortest decimal that float32 rounds to a value of it, as the file most likely has it. */
function inFile(value: number): number {
  if (Math.fround(value) !== value) return value
  for (let digits = 1; digits < 9; digits++)
    if (Math.fround(Number(value.toPrecision(digits))) === value) return Number(value.toPrecision(digits))
  return value
}

function percent(share: number): string {
  return `${+(100 * share).toPrecision(2)} %`
}
