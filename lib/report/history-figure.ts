import { curves } from './history'
import type { History } from './report'
import { linePanel, type Series } from './svg'

/** Loss and evaluations per iteration as still figures. */
export function historyPanels(history: History): string[] {
  const { iteration, kept, charts } = curves(history)
  return charts.slice(0, 2).map(({ title, series }, chart) =>
    linePanel(
      title,
      series
        .filter(({ faint }) => !faint)
        .map(({ name, tone, values }) => ({
          name,
          class: tone as Series['class'],
          ...present(iteration, values)
        })),
      {
        width: 460,
        height: 280,
        marks: kept !== undefined && chart === 0 ? [{ x: kept, name: 'kept' }] : []
      }
    )
  )
}

function present(x: number[], values: (number | null)[]): { x: number[]; y: number[] } {
  const kept = values.flatMap((value, i) => (value === null ? [] : [i]))
  return { x: kept.map((i) => x[i]!), y: kept.map((i) => values[i]!) }
}
