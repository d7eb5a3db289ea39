import { axes, escapeText, type Margin, picture, textWithin } from './svg'

/** Strengths of dependence between all pairs of columns, as colours with their numbers where the pointer rests. */

const WIDTH = 360

/** @param values (n, n), in [−1, 1] */
export function heatPanel(title: string, names: readonly string[], values: Float64Array): string {
  const count = names.length
  const room = Math.min(96, 12 + 6.5 * Math.max(...names.map((name) => name.length)))
  const side = (WIDTH - room - 10) / count
  const margin: Margin = { left: room, right: 10, top: 26, bottom: room + 6 }
  const height = margin.top + margin.bottom + side * count
  const empty = { place: () => 0, ticks: () => [], label: () => '' }
  const content = axes({ width: WIDTH, height, x: empty, y: empty, title, margin }, () =>
    names
      .map((name, i) => {
        const middle = margin.top + (i + 0.5) * side
        const across = margin.left + (i + 0.5) * side
        const cells = names.map((other, j) => {
          const value = values[i * count + j]!
          const [x, y] = [margin.left + j * side, margin.top + i * side]
          return (
            `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(side - 0.6).toFixed(1)}" height="${(side - 0.6).toFixed(1)}" ` +
            `class="${value < 0 ? 'negative' : 'positive'}" fill-opacity="${Math.min(1, 0.04 + 0.96 * Math.abs(value)).toFixed(3)}">` +
            `<title>${escapeText(`${name} × ${other}: ${value.toFixed(3)}`)}</title></rect>`
          )
        })
        if (side < 12) return cells.join('')
        return (
          textWithin(name, 'label', { x: room - 5, y: middle + 4, room: room - 6, anchor: 'end' }) +
          textWithin(name, 'label', {
            x: across + 4,
            y: height - room - 1,
            room: room - 6,
            anchor: 'end',
            turn: true
          }) +
          cells.join('')
        )
      })
      .join('')
  )
  return picture(WIDTH, height, title, content)
}
