import { pause } from '../native/pieces'
import { association, ranked } from './association'
import { heatPanel } from './heat'
import { marginalPanel } from './marginals'
import { cutOf, matchOf, pairMatch } from './match'
import { nearestRows } from './nearest'
import { type Pair, pairPanel } from './pairs'
import type { Quantity } from './quantity'
import { quantile } from './raster'
import type { Listing, Section } from './report'
import { linePanel, type Series } from './svg'
import { percent } from './view'

/** Data and samples of a table beside each other: columns, pairs of columns, and rows. */

const MOST_MARGINALS = 12
const MOST_PAIRS = 6
const LISTED = 8
/** Columns between which dependences are looked for. */
const MOST_COLUMNS = 64
const MOST_NAMED = 20
/** Rows that dependences are measured on. */
const MOST_ROWS = 5000
const DISTANCE_BINS = 40

/** Marginals: those that samples match least first, where not all are shown. */
export function marginalSection(quantities: readonly Quantity[], drawn: string): Section {
  const own = quantities.filter(({ given }) => !given)
  const shown = own.length > MOST_MARGINALS ? worst(own).slice(0, MOST_MARGINALS) : own
  const some = shown.length < own.length ? ` The ${MOST_MARGINALS} of ${own.length} that match least.` : ''
  return {
    title: 'Marginals',
    note:
      `Columns of the data and of samples of the flow${drawn}.${some} KS is the largest distance between the shares below a value, total variation ` +
      'half the sum of the distances of shares; "halves" is what two halves of the data have: a flow that matches has no more.',
    key: true,
    panels: shown.map((quantity) => marginalPanel(quantity))
  }
}

function worst(quantities: readonly Quantity[]): Quantity[] {
  const excess = new Map(
    quantities.map((one) => {
      const { distance, halves } = matchOf(one)
      return [one, distance - halves]
    })
  )
  return [...quantities].sort((a, b) => excess.get(b)! - excess.get(a)!)
}

/** Every pair of columns that says something: not of two that the samples share with the data. */
export async function pairsOf(
  quantities: readonly Quantity[],
  { tell, signal }: Ongoing = {}
): Promise<{ pairs: Pair[]; columns: Quantity[] }> {
  const columns = quantities.slice(0, MOST_COLUMNS)
  const of = (values: Float64Array, levels?: readonly string[]) =>
    ranked(values.subarray(0, MOST_ROWS), levels?.length)
  const looked = []
  for (const one of columns) {
    const [data, samples] = [of(one.data, one.levels), of(one.samples, one.levels)]
    looked.push({ one, data, samples, cut: cutOf(one) })
    await pause(signal)
  }
  const pairs: Pair[] = []
  for (const [i, a] of looked.entries()) {
    tell?.(i / looked.length)
    for (const b of looked.slice(i + 1)) {
      if (a.one.given && b.one.given) continue
      const dependence = {
        data: association(a.data, b.data),
        samples: association(a.samples, b.samples)
      }
      pairs.push({ a: a.one, b: b.one, dependence, match: pairMatch(a.cut, b.cut) })
    }
    await pause(signal)
  }
  return { pairs, columns }
}

/** Whom long work tells the share of it that is done, and what ends it. */
export interface Ongoing {
  tell?: (share: number) => void
  signal?: AbortSignal | undefined
}

/** The pairs that depend most on each other, and those that samples match least. */
export function pairSection(pairs: readonly Pair[], drawn: string): Section {
  const byDependence = [...pairs].sort((a, b) => Math.abs(b.dependence.data) - Math.abs(a.dependence.data))
  const chosen = [
    ...new Set([...byDependence.slice(0, MOST_PAIRS / 2), ...byMisfit(pairs), ...byDependence])
  ].slice(0, MOST_PAIRS)
  const half = MOST_PAIRS / 2
  const some =
    chosen.length < pairs.length
      ? ` Of ${pairs.length} pairs the ${half} whose columns depend most on each other, and the ${half} that samples match least.`
      : ''
  return {
    title: 'Pairs of columns',
    note:
      `Rows of the data and samples${drawn}.${some} Dependence is Spearman's between numbers, 0 to 1 with categories; total variation is ` +
      'that of the shares of 8 × 8 cells. Bands span 5 to 95 % and the quartiles, with a dot at the median; areas of squares are shares.',
    key: true,
    panels: chosen.map(pairPanel)
  }
}

function byMisfit(pairs: readonly Pair[]): Pair[] {
  const excess = ({ match }: Pair) => match.distance - match.halves
  return [...pairs].sort((a, b) => excess(b) - excess(a))
}

/** Dependences as two pictures, the columns and pairs that match least, and whether samples are copies. */
export async function matchSection(
  quantities: readonly Quantity[],
  { pairs, columns }: { pairs: readonly Pair[]; columns: readonly Quantity[] },
  heldOut: readonly Quantity[] | undefined,
  signal?: AbortSignal
): Promise<Section> {
  const own = quantities.filter(({ given }) => !given)
  const nearest = heldOut && (await nearestPanel(own, heldOut, signal))
  const listings: Listing[] = [
    {
      title: own.length > LISTED ? 'Columns that samples match least' : 'Columns',
      header: ['', 'distance', 'between halves of the data'],
      rows: worst(own)
        .slice(0, LISTED)
        .map((one) => {
          const { distance, halves } = matchOf(one)
          return [one.name, distance.toFixed(4), halves.toFixed(4)]
        })
    }
  ]
  if (pairs.length > 0)
    listings.push({
      title: pairs.length > LISTED ? 'Pairs that samples match least' : 'Pairs',
      header: ['', 'total variation', 'between halves', 'dependence of data', 'of samples'],
      rows: byMisfit(pairs)
        .slice(0, LISTED)
        .map(({ a, b, match, dependence }) => [
          `${a.name} × ${b.name}`,
          ...[match.distance, match.halves, dependence.data, dependence.samples].map((value) =>
            value.toFixed(3).replace('-', '−')
          )
        ])
    })
  return {
    title: 'How samples match',
    note: `Dependences between columns of data and of samples should look alike${
      columns.length < quantities.length ? ` (the first ${columns.length} columns)` : ''
    }. A distance well above that between two halves of the data is a misfit; one below it is as good as these rows can tell.${nearest ? ` ${nearest.note}` : ''}`,
    panels: [...heatPanels(columns, pairs), ...(nearest ? [nearest.panel] : [])],
    listings
  }
}

/** Of many columns those that take part in the strongest dependences. */
function heatPanels(columns: readonly Quantity[], pairs: readonly Pair[]): string[] {
  if (columns.length < 3) return []
  const strength = new Map(columns.map((one) => [one, 0]))
  for (const { a, b, dependence } of pairs)
    for (const one of [a, b])
      strength.set(one, Math.max(strength.get(one)!, Math.abs(dependence.data), Math.abs(dependence.samples)))
  const kept = new Set([...columns].sort((a, b) => strength.get(b)! - strength.get(a)!).slice(0, MOST_NAMED))
  const shown = columns.filter((one) => kept.has(one))
  const place = new Map(shown.map((one, i) => [one, i]))
  const all = columns.length > shown.length ? `, ${shown.length} columns` : ''
  return (['data', 'samples'] as const).map((of) => {
    const values = new Float64Array(shown.length ** 2)
    for (let i = 0; i < shown.length; i++) values[i * shown.length + i] = 1
    for (const { a, b, dependence } of pairs) {
      const [i, j] = [place.get(a), place.get(b)]
      if (i === undefined || j === undefined) continue
      values[i * shown.length + j] = values[j * shown.length + i] = dependence[of]
    }
    return heatPanel(
      `Dependence, ${of}${all}`,
      shown.map(({ name }) => name),
      values
    )
  })
}

/** Distances of samples and of held-out rows to the closest training row. */
async function nearestPanel(
  train: readonly Quantity[],
  heldOut: readonly Quantity[],
  signal: AbortSignal | undefined
): Promise<{ panel: string; note: string }> {
  const { samples, heldOut: fresh, rows } = await nearestRows(train, heldOut, signal)
  const close = quantile(fresh, 0.05)
  const share = (values: Float64Array, test: (value: number) => boolean) =>
    values.filter(test).length / values.length
  const hi = Math.max(quantile(fresh, 0.995), quantile(samples, 0.995), 1e-6)
  const edges = Float64Array.from({ length: DISTANCE_BINS + 1 }, (_, i) => (hi * i) / DISTANCE_BINS)
  const steps = (values: Float64Array) => {
    const shares = new Float64Array(edges.length)
    for (const value of values) {
      const bin = Math.min(DISTANCE_BINS - 1, Math.floor((value / hi) * DISTANCE_BINS))
      if (value <= hi) shares[bin]! += 1 / values.length
    }
    shares[DISTANCE_BINS] = shares[DISTANCE_BINS - 1]!
    return shares
  }
  const series: Series[] = [
    { name: 'held-out rows', class: 'data', x: edges, y: steps(fresh), filled: true, steps: true },
    { name: 'samples', class: 'model', x: edges, y: steps(samples), steps: true }
  ]
  const closer = percent(share(samples, (value) => value < close))
  const copies = [samples, fresh].map((values) => percent(share(values, (value) => value === 0)))
  return {
    panel: linePanel('Distance to the closest training row', series, {
      width: 360,
      height: 270,
      x: [0, hi],
      xName: "Gower's distance: mean over columns, in ranks",
      notes: [
        `as close as the closest 5 % of held-out rows: ${closer}`,
        `copies: ${copies[0]} of samples, ${copies[1]} of held-out rows`
      ]
    }),
    note:
      `Samples that lie closer to training rows than rows that training never saw would be copies of them (${samples.length.toLocaleString('en-US')} samples, ` +
      `${fresh.length.toLocaleString('en-US')} held-out rows, ${rows.toLocaleString('en-US')} training rows).`
  }
}
