/** One table of the report: what it shows, and the numbers behind it. */
export interface Section {
  name: string
  title: string
  columns: string[]
  rows: string[][]
  notes: string[]
  /** Written to the JSON file as it is. */
  data: unknown
}

/** A Markdown table with aligned columns, so that it reads well in a terminal too. */
export function markdown(section: Section): string {
  const table = [section.columns, ...section.rows]
  const widths = section.columns.map((_, column) =>
    Math.max(...table.map((row) => (row[column] ?? '').length))
  )
  const line = (row: string[]) => `| ${widths.map((width, i) => (row[i] ?? '').padEnd(width)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  const notes = section.notes.map((note) => `- ${note}`)
  const body = section.rows.length > 0 ? [line(section.columns), rule, ...section.rows.map(line), ''] : []
  return [`## ${section.title}`, '', ...body, ...notes, ''].join('\n')
}

/** Seconds with a unit that leaves three significant digits. */
export function time(seconds: number): string {
  if (seconds >= 100) return `${seconds.toFixed(0)} s`
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`
  if (seconds >= 1e-3) return `${(seconds * 1e3).toPrecision(3)} ms`
  return `${(seconds * 1e6).toPrecision(3)} µs`
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

export function times(ratio: number): string {
  return `${ratio >= 10 ? ratio.toFixed(1) : ratio.toFixed(2)} ×`
}

/** A figure that should be at least (or at most) its target. */
export function against(figure: number, target: number, sense: 'at least' | 'at most'): string {
  const reached = sense === 'at least' ? figure >= target : figure <= target
  return reached ? 'reached' : 'missed'
}
