import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow } from 'ffjord'
import { PNG } from 'pngjs'
import { animate } from '../lib/report/animate'
import { association, ranked } from '../lib/report/association'
import { calendar, clockText } from '../lib/report/calendar'
import { marginalPanel } from '../lib/report/marginals'
import { cutOf, kolmogorovSmirnov, matchOf, pairMatch, totalVariation } from '../lib/report/match'
import { nearestRows } from '../lib/report/nearest'
import type { PageData } from '../lib/report/page'
import { COARSE } from '../lib/report/plane'
import { type Quantity, quantitiesOf } from '../lib/report/quantity'
import { extentOf } from '../lib/report/raster'
import { label } from '../lib/report/scale'
import { linePanel, textWithin } from '../lib/report/svg'
import { viewOf } from '../lib/report/view'

/** Normal numbers that are always the same. */
function normals(count: number, seed: number): Float64Array {
  let state = seed
  // Mulberry32
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32
  }
  return Float64Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
  )
}

function quantity(data: Float64Array, samples: Float64Array, rest: Partial<Quantity> = {}): Quantity {
  return { name: 'x', data, samples, ...rest }
}

describe('columns as people see them', () => {
  test('a category is one column, multiples are whole, an atom is its value, and dates keep their clock', () => {
    const clock = { unit: 'day', origin: '2024-01-01' } as const
    const atom = { value: 0, place: -3, scale: 0.1, cut: -2, far: -4 }
    const [colour, count, day, claim] = quantitiesOf(
      [
        { name: 'colour', type: 'category', levels: ['red', 'blue'] },
        { name: 'count', type: 'integer', step: 1 },
        { name: 'day', type: 'integer', clock, cells: { kind: 'date' } },
        { name: 'claim', type: 'real', atom }
      ],
      [0.2, 1.3, 4.7, 31.2, 1.5, 1.1, 0.2, 7.999, 0, -3.1],
      [1.2, 0.3, 2.2, 59, 0.5]
    )
    expect([...colour!.data]).toEqual([1, 0])
    expect([...colour!.samples]).toEqual([0])
    expect([...count!.data]).toEqual([4, 7])
    expect(clockText(day!.clock!, day!.data[0]!)).toBe('2024-02-01')
    expect(clockText(day!.clock!, day!.samples[0]!)).toBe('2024-02-29')
    expect([...claim!.data]).toEqual([1.5, 0])
  })

  test('heavy tails have a log axis where all is positive, else an axis that is cut, and says so', () => {
    const normal = normals(4000, 1)
    expect(viewOf(quantity(normal, normal))).toMatchObject({ logarithmic: false, remarks: [] })
    const income = normal.map((value) => Math.exp(10 + 1.2 * value))
    const inLog = viewOf(quantity(income, income))
    expect(inLog.logarithmic).toBe(true)
    expect(inLog.remarks).toEqual(['log axis'])
    const other = normals(4000, 7)
    const cauchy = normal.map((value, i) => value / other[i]!)
    const cut = viewOf(quantity(cauchy, normal))
    expect(cut.logarithmic).toBe(false)
    expect(cut.hi - cut.lo).toBeLessThan(20)
    const outside = cauchy.filter((value) => value < cut.lo || value > cut.hi).length / cauchy.length
    expect(cut.outside.data).toBeCloseTo(outside)
    expect(cut.remarks).toContain(
      `outside: ${(100 * outside).toFixed(outside < 0.1 ? 1 : 0)} %, of samples 0 %`
    )
  })

  test('bins of whole numbers stay within the axes', () => {
    const ratings = Float64Array.from({ length: 400 }, (_, i) => 1 + (i % 5))
    const panel = marginalPanel(quantity(ratings, ratings, { step: 1 }))
    const [, width] = /viewBox="0 0 (\d+)/.exec(panel)!
    const axis = Number(/class="grid" d="M([\d.]+)/.exec(panel)![1])
    expect(panel).toContain('>0</text>')
    const lines = [...panel.matchAll(/class="(?:line|area) \w+" d="([^"]*)"/g)].map(([, path]) => path!)
    const across = lines.flatMap((path) => [...path.matchAll(/[MHL](-?[\d.]+)/g)].map(([, at]) => Number(at)))
    expect(Math.min(...across)).toBeCloseTo(axis, 0)
    expect(Math.max(...across)).toBeLessThan(Number(width))
    expect([...panel.matchAll(/text-anchor="middle">(\d)</g)].map(([, tick]) => tick)).toEqual([
      '1',
      '2',
      '3',
      '4',
      '5'
    ])
  })

  test('ticks of dates are round dates, as fine as the axis asks for', () => {
    const clock = { unit: 'day', origin: '2024-01-01' } as const
    const labels = (lo: number, hi: number) => {
      const scale = calendar(clock, lo, hi)
      return scale.ticks(6).map(scale.label)
    }
    expect(labels(0, 366)).toEqual(['2024-01', '2024-04', '2024-07', '2024-10', '2025-01'])
    expect(labels(-800, 800)).toEqual(['2022', '2023', '2024', '2025', '2026'])
    expect(labels(0.1, 20)).toEqual(['2024-01-04', '2024-01-11', '2024-01-18'])
    const time = calendar({ unit: 'second' }, 0, 86_400)
    expect(time.ticks(6).map(time.label)).toEqual(['0:00', '6:00', '12:00', '18:00', '24:00'])
  })

  test('numbers keep their digits', () => {
    expect([312_450, 1_234_567, 0.25, 0, 12_345_678, -2e-5].map(label)).toEqual([
      '312,450',
      '1,234,567',
      '0.25',
      '0',
      '1.235·10⁷',
      '−2·10⁻⁵'
    ])
  })
})

describe('how samples match', () => {
  test('distances of two lists are those of their definitions', () => {
    const [a, b] = [
      [1, 2, 2, 5],
      [2, 3, 6]
    ]
    let most = 0
    for (const at of [...a!, ...b!]) {
      const below = (list: number[]) => list.filter((value) => value <= at).length / list.length
      most = Math.max(most, Math.abs(below(a!) - below(b!)))
    }
    expect(kolmogorovSmirnov(a!, b!)).toBeCloseTo(most)
    expect(totalVariation([0, 0, 1, 2], [0, 2, 2, 2], 3)).toBeCloseTo(0.5)
  })

  test('samples of the same law are as far away as halves of the data, of another law farther', () => {
    const data = normals(4000, 3)
    const same = matchOf(quantity(data, normals(4000, 11)))
    expect(same.distance).toBeLessThan(2 * same.halves + 0.02)
    const shifted = matchOf(
      quantity(
        data,
        normals(4000, 11).map((value) => value + 0.5)
      )
    )
    // sup |Φ(x) − Φ(x − ½)| = 2 Φ(¼) − 1
    expect(shifted.distance).toBeCloseTo(0.1974, 1)
    expect(shifted.halves).toBeCloseTo(same.halves)
  })

  test('a pair whose columns match one by one, but not together, is seen', () => {
    const [x, noise] = [normals(4000, 5), normals(4000, 9)]
    const y = x.map((value, i) => 0.8 * value + 0.6 * noise[i]!)
    const [a, b] = [cutOf(quantity(x, x)), cutOf(quantity(y, noise))]
    expect(matchOf(quantity(y, noise)).distance).toBeLessThan(0.06)
    const { distance, halves } = pairMatch(a, b)
    expect(distance).toBeGreaterThan(3 * halves)
  })

  test('dependences are those of Spearman, of the correlation ratio, and of Cramér', () => {
    const of = (values: number[], levels?: number) => ranked(Float64Array.from(values), levels)
    // Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: Pearson's correlation of them.
    expect(association(of([1, 2, 2, 9]), of([10, 30, 20, 40]))).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5))
    expect(association(of([1, 2, 3]), of([9, 4, 1]))).toBeCloseTo(-1)
    // Ranks −1.5, −0.5 | 0.5, 1.5: 2 · 2 · 1² of 5.
    expect(association(of([1, 2, 3, 4]), of([0, 0, 1, 1], 2))).toBeCloseTo(Math.sqrt(4 / 5))
    // A table of 2, 1; 1, 2: χ² = 6 · (2 · 2 − 1)² / 3⁴
    expect(association(of([0, 0, 0, 1, 1, 1], 2), of([0, 0, 1, 0, 1, 1], 2))).toBeCloseTo(1 / 3)
    expect(association(of([5, 5, 5]), of([1, 2, 3]))).toBe(0)
  })

  test('copies of training rows are found', async () => {
    const train = [normals(500, 13), normals(500, 17)]
    const levels = ['a', 'b']
    const places = (seed: number) => normals(500, seed).map((value) => (value > 0 ? 1 : 0))
    const kinds = places(19)
    const test = [normals(500, 23), normals(500, 29), places(31)]
    const columns = (of: Float64Array[]) => [
      quantity(train[0]!, of[0]!),
      quantity(train[1]!, of[1]!),
      quantity(kinds, of[2]!, { levels })
    ]
    const { samples, heldOut } = await nearestRows(columns([...train, kinds]), columns(test))
    expect(Math.max(...samples)).toBe(0)
    expect(Math.min(...heldOut)).toBeGreaterThan(0)
    // Gower's distance of one row by hand.
    const below = (column: Float64Array, value: number) =>
      column.filter((other) => other < value).length / 500 +
      column.filter((other) => other === value).length / 1000
    let least = Infinity
    for (let row = 0; row < 500; row++) {
      const parts = [0, 1].map((i) =>
        Math.abs(below(train[i]!, train[i]![row]!) - below(train[i]!, test[i]![7]!))
      )
      least = Math.min(least, (parts[0]! + parts[1]! + (kinds[row] === test[2]![7] ? 0 : 1)) / 3)
    }
    expect(heldOut[7]).toBeCloseTo(least, 5)
  })
})

describe('panels', () => {
  test('a long name is shortened, and the whole of it shows on hover', () => {
    const long = 'the name of a column that nobody would want to read on an axis'
    const text = textWithin(long, 'title', { x: 0, y: 0, room: 100 })
    expect(text).toContain(`<title>${long}</title>`)
    expect(text).toMatch(/>the name o…<\/text>$/)
    expect(textWithin('short', 'title', { x: 0, y: 0, room: 100 })).not.toContain('<title>')
  })

  test('a legend stands below a title that leaves it no room', () => {
    const series = [{ name: 'a series', class: 'data' as const, x: [0, 1], y: [0, 1] }]
    expect(linePanel('Loss', series)).not.toContain('translate')
    expect(linePanel('A title as long as the whole panel is wide, or nearly so', series)).toContain(
      'translate(0 15)'
    )
  })

  test('categories are bars, of the most frequent levels and the others together', () => {
    const levels = Array.from({ length: 15 }, (_, i) => `level ${i}`)
    const data = Float64Array.from({ length: 1500 }, (_, i) => (i * i) % 15)
    const panel = marginalPanel(quantity(data, data, { name: 'kind', levels }))
    expect(panel).toContain('others')
    expect(panel.match(/class="bar data"/g)).toHaveLength(9)
    expect(panel).toContain('total variation 0')
  })

  test('axes of unlike scales have extents of their own', () => {
    const points = Array.from({ length: 1000 }, (_, i) => [i / 10, 3e5 * (i / 1000) ** 2]).flat()
    const { x, y } = extentOf([points])
    expect(x[1] - x[0]).toBeLessThan(130)
    expect(y[1] - y[0]).toBeGreaterThan(2.9e5)
  })
})

test('an animation ends in the units of the data, and its densities are those of the flow', async () => {
  // Without dynamics to speak of, the density is the Gaussian that standardize takes to N(0, I).
  using flow = await Flow.create({
    shape: [2],
    blocks: [
      { type: 'standardize', mean: [80, 3e5], scale: [20, 1e5] },
      { type: 'cnf', time: 1e-3, net: { hidden: [4], layer: 'concat' } }
    ],
    solver: { rtol: 1e-3, atol: 1e-3 },
    device: 'reference',
    seed: 1
  })
  const found = await animate(flow, { ...COARSE, frames: 3, mesh: 32, particles: 200 }, 1, [
    { name: 'area' },
    { name: 'price' }
  ])
  const { extent, particles, density, names } = found
  expect(names[1]).toMatch(/^price, [\d,]+ to [\d,]+/)
  const last = particles.positions.subarray(2 * particles.count * 2)
  const mean = (axis: number) =>
    last.reduce((sum, v, i) => sum + (i % 2 === axis ? v : 0), 0) / particles.count
  expect(Math.abs(mean(0) - 80)).toBeLessThan(4)
  expect(Math.abs(mean(1) - 3e5)).toBeLessThan(2e4)
  expect(extent.x[1]).toBeLessThan(200)
  // Brightness follows √density, so that it halves where the density falls to a quarter: at √(2 ln 4) deviations.
  const sheet = PNG.sync.read(Buffer.from(density.png.replace(/^.*base64,/, ''), 'base64'))
  const level = (frame: number, x: number, y: number) => {
    const column = Math.floor(((x - extent.x[0]) / (extent.x[1] - extent.x[0])) * density.size)
    const row = Math.floor(((extent.y[1] - y) / (extent.y[1] - extent.y[0])) * density.size)
    const [left, top] = [frame % density.columns, Math.floor(frame / density.columns)]
    return sheet.data[4 * ((top * density.size + row) * sheet.width + left * density.size + column)]!
  }
  // Particles have their own densities, on the same scale: the brightest is near the middle.
  expect(Math.max(...particles.levels)).toBeGreaterThan(230)
  for (const frame of [0, 1, 2]) {
    expect(level(frame, 80, 3e5)).toBeGreaterThan(245)
    expect(Math.abs(level(frame, 80 + 20 * Math.sqrt(2 * Math.log(4)), 3e5) - 128)).toBeLessThan(10)
    expect(Math.abs(level(frame, 80, 3e5 - 1e5 * Math.sqrt(2 * Math.log(4))) - 128)).toBeLessThan(10)
  }
})

describe('the report of a table', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-report-table-'))
  const long = 'neighbourhood of the property as it is registered'
  let page = ''
  let data: PageData

  beforeAll(() => {
    const [z, w] = [normals(600, 37), normals(600, 41)]
    const rows = Array.from({ length: 600 }, (_, i) => {
      const day = new Date(Date.UTC(2022, 0, 1 + ((i * 37) % 700))).toISOString().slice(0, 10)
      const size = Math.exp(4.3 + 0.3 * z[i]!)
      const price = i % 50 === 7 ? '' : Math.round(3000 * size * Math.exp(0.1 * w[i]!))
      return [['North', 'South', 'Harbour'][(i % 7) % 3], i % 4 === 1, day, size.toFixed(1), price].join()
    })
    const table = join(folder, 'homes.csv')
    writeFileSync(table, `${[long, 'furnished', 'sold', 'size', 'price'].join()}\n${rows.join('\n')}\n`)
    const command = join(__dirname, '..', 'dist', 'cli', 'index.js')
    const options = '--hidden 16,16 --iterations 40 --validate-every 10 --rtol 1e-3 --atol 1e-3 --quiet'
    execFileSync(process.execPath, [
      command,
      'train',
      '--data',
      table,
      '--out',
      join(folder, 'a run'),
      ...options.split(' ')
    ])
    page = readFileSync(join(folder, 'a run', 'report.html'), 'utf8')
    data = JSON.parse(/id="report-data">(.*?)<\/script>/s.exec(page)![1]!)
  }, 120_000)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('has a panel a column, of its kind', () => {
    expect(page.match(/class="bar data"/g)!.length).toBeGreaterThanOrEqual(5)
    for (const name of ['North', 'South', 'Harbour', 'furnished', 'true', 'sold', 'price'])
      expect(page).toContain(name)
    expect(page).toMatch(/>2023(-\d\d)?<\/text>/)
    expect(page).toContain(`<title>${long}</title>`)
    expect(page).not.toContain(`${long}=North`)
  })

  test('shows size × price, which depend on each other most', () => {
    const first = page.indexOf('Pairs of columns')
    expect(page.slice(first).match(/aria-label="([^"]*×[^"]*)"/)![1]).toBe('size × price')
  })

  test('says how samples match, and whether they are copies', () => {
    for (const text of [
      'How samples match',
      'Dependence, data',
      'Dependence, samples',
      'Distance to the closest training row',
      'held-out rows'
    ])
      expect(page).toContain(text)
    expect(page.match(/KS \d\.\d{3} \(halves \d\.\d{3}\)/g)).toHaveLength(3)
  })

  test('names the best plain density at its head, the rows of its parts, and the command', () => {
    const head = page.slice(0, page.indexOf('<section>'))
    expect(head).toMatch(/(Better|Worse) than (a )?plain densit/)
    const baseline = [...page.matchAll(/<th>(Gaussian, full|Mixture of)[^<]*<\/th><td>([\d.]+) ±/g)].map(
      (match) => Number(match[2])
    )
    const flow = Number(/Test NLL<\/small><b>([\d.]+)/.exec(head)![1])
    const gain = Number(/plain densit[^<]*<\/small><b>([\d.]+)/.exec(head)![1])
    expect(gain).toBeCloseTo(Math.abs(Math.min(...baseline) - flow), 2)
    expect(page).toMatch(/<th>Training<\/th><td>\d+<\/td>/)
    expect(page).toMatch(/<th>Left out[^<]*<\/th><td>12<\/td>/)
    expect(page).toContain(`--out '${join(folder, 'a run')}'`)
    expect(page).not.toMatch(/bits.per.dim/i)
    expect(page.match(/>(NaN|undefined|Infinity|null)</g)).toBeNull()
  })

  test('marks the iteration whose weights were kept', () => {
    expect(data.history!.iteration).toContain(data.history!.kept)
    expect(page).toContain(`The weights of iteration ${data.history!.kept} were kept`)
    expect(readFileSync(join(folder, 'a run', 'training.svg'), 'utf8')).toContain('>kept</text>')
  })
})
