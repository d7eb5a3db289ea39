import type { FileOptions, Remark } from '../index'
import type { End } from '../table/file-options'
import type { TableChoice } from './table-options'

/** A remark on a column as a line that ends with flags for `train`, which keep what was chosen already. */
export function remarkLine(
  { finding, remedy, options }: Remark,
  { exclude = [], bounds, atoms }: TableChoice
): string {
  const flags = flagsOf({
    ...options,
    ...(options.exclude && { exclude: [...exclude, ...options.exclude] }),
    ...(options.bounds && { bounds: { ...bounds, ...options.bounds } }),
    ...(options.atoms && { atoms: { ...atoms, ...options.atoms } })
  })
  return `${finding}; ${remedy} (${flags})`
}

export function flagsOf({ exclude, dequantize, bounds, atoms, invalid, missingCells }: FileOptions): string {
  const interval = ([name, [lower, upper]]: [string, readonly [End, End]]) =>
    `${name}=${lower ?? ''}:${upper ?? ''}`
  const pairs = (values: Record<string, number>) =>
    quoted(
      Object.entries(values)
        .map((entry) => entry.join('='))
        .join(',')
    )
  const flags = [
    ...(exclude ? [`--exclude ${quoted(exclude.join(','))}`] : []),
    ...(typeof dequantize === 'object' ? [`--dequantize ${pairs(dequantize)}`] : []),
    ...(atoms ? [`--atoms ${pairs(atoms)}`] : []),
    ...(bounds ? [`--bounds ${quoted(Object.entries(bounds).map(interval).join(','))}`] : [])
  ]
  const rows = [
    ...(missingCells ? [`--missing-cells ${quoted(missingCells.join(','))}`] : []),
    ...(invalid ? [`--invalid ${invalid}`] : [])
  ]
  return [flags.join(' '), rows.join(', or ')].filter(Boolean).join(' ')
}

/** One word of a shell. */
function quoted(text: string): string {
  return /^[\w=:,.+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
