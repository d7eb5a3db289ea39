import { columnWidth, type TableSchema } from '../table/schema'

const LOOKED_AT = 10_000
/** Fewer different values than this share of the rows make a column suspicious. */
const FEW = 0.05

/**
 * What a user should know of the columns before training: values that repeat, whose density grows without bound.
 * @param data (rows, width)
 */
export function remarksOn({ columns }: TableSchema, data: ArrayLike<number>, width: number): string[] {
  const rows = Math.min(LOOKED_AT, data.length / width)
  const remarks: string[] = []
  let element = 0
  for (const column of columns) {
    const at = element
    element += columnWidth(column)
    if (column.levels || column.step !== undefined) continue
    const values = Float64Array.from(
      new Set(Array.from({ length: rows }, (_, row) => data[row * width + at]!))
    ).sort()
    if (values.length > FEW * rows) continue
    let least = Infinity
    for (let i = 1; i < values.length; i++) least = Math.min(least, values[i]! - values[i - 1]!)
    remarks.push(
      `column '${column.name}' has only ${values.length} different values in ${rows} rows, so that its density can grow ` +
        `without bound; if they are multiples of ${+least.toPrecision(2)}, give --dequantize ${column.name}=${+least.toPrecision(2)} ` +
        'and the other columns of multiples'
    )
  }
  return remarks
}
