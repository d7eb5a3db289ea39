import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PNG } from 'pngjs'
import { chartPanel } from '../lib/report/chart'
import { densityLevel, MAGMA } from '../lib/report/colormap'
import { curves, smooth } from '../lib/report/history'
import { colourPng, greyPng } from '../lib/report/image'
import type { PageData } from '../lib/report/page'
import { extentOf, histogramDensity, meshDensity, pixelCentres, quantile, sprite } from '../lib/report/raster'
import { categorical, label, logarithmic, ticks } from '../lib/report/scale'
import { figure, imagePanel, linePanel } from '../lib/report/svg'

const extent = { x: [-4, 4] as [number, number], y: [-4, 4] as [number, number] }

function logNormal(x: number, y: number): number {
  return -Math.log(2 * Math.PI) - (x * x + y * y) / 2
}

function pixels(uri: string): PNG {
  return PNG.sync.read(Buffer.from(uri.replace('data:image/png;base64,', ''), 'base64'))
}

describe('colours', () => {
  test('magma grows lighter from end to end', () => {
    const lightness = (level: number) =>
      0.2126 * MAGMA[3 * level]! + 0.7152 * MAGMA[3 * level + 1]! + 0.0722 * MAGMA[3 * level + 2]!
    for (let level = 8; level < 256; level += 8)
      expect(lightness(level)).toBeGreaterThan(lightness(level - 8))
  })

  test('levels follow the square root and saturate', () => {
    expect(densityLevel(0, 1)).toBe(0)
    expect(densityLevel(0.25, 1)).toBe(128)
    expect(densityLevel(3, 1)).toBe(255)
    expect(densityLevel(Number.NaN, 1)).toBe(0)
  })
})

describe('images', () => {
  const levels = { width: 3, height: 2, levels: Uint8Array.from([0, 51, 102, 153, 204, 255]) }

  test('a colour PNG decodes to the colours of its levels', () => {
    const { width, height, data } = pixels(colourPng(levels))
    expect([width, height]).toEqual([3, 2])
    levels.levels.forEach((level, i) => {
      expect([...data.subarray(4 * i, 4 * i + 3)]).toEqual([...MAGMA.subarray(3 * level, 3 * level + 3)])
    })
  })

  test('a grey PNG decodes to its levels', () => {
    const { data } = pixels(greyPng(levels))
    expect([...levels.levels.keys()].map((i) => data[4 * i])).toEqual([...levels.levels])
  })

  test('a sprite places pictures row by row', () => {
    const one = (value: number) => ({ width: 2, height: 1, levels: Uint8Array.from([value, value]) })
    const { width, height, levels: all } = sprite([one(1), one(2), one(3)], 2)
    expect([width, height]).toEqual([4, 2])
    expect([...all]).toEqual([1, 1, 2, 2, 3, 3, 0, 0])
  })
})

describe('densities on a grid', () => {
  test('pixel centres run from the top left', () => {
    expect([...pixelCentres(extent, 2)]).toEqual([-2, 2, 2, 2, -2, -2, 2, -2])
  })

  test('a histogram integrates to the share of points inside', () => {
    const points = [0, 0, 1, 1, -3, 2, 9, 0]
    const density = histogramDensity(points, extent, 8)
    expect(density.reduce((sum, value) => sum + value, 0)).toBeCloseTo(3 / 4)
    expect(density[4 * 8 + 4]).toBeCloseTo(1 / 4)
  })

  test('a mesh that a known map has carried shows the density of the image', () => {
    // z ↦ (2 z₁, z₂ / 2 + 1) preserves areas.
    const n = 121
    const nodes = pixelCentres({ x: [-5, 5], y: [-5, 5] }, n)
    const carried = nodes.map((value, i) => (i % 2 ? value / 2 + 1 : 2 * value))
    const logDensity = Float64Array.from({ length: n * n }, (_, i) =>
      logNormal(nodes[2 * i]!, nodes[2 * i + 1]!)
    )
    const size = 64
    // A second mesh, torn coarse, gives way wherever the first one is finer.
    const coarse = { n: 2, points: [-9, 9, 9, 9, -9, -9, 9, -9], logDensity: [-50, -50, -50, -50] }
    const density = meshDensity([coarse, { n, points: carried, logDensity }], extent, size)
    const centres = pixelCentres(extent, size)
    density.forEach((value, i) => {
      const expected = Math.exp(logNormal(centres[2 * i]! / 2, 2 * (centres[2 * i + 1]! - 1)))
      expect(Math.abs(value - expected)).toBeLessThan(1e-3)
    })
  })

  test('an extent is square, holds the points and ignores outliers', () => {
    const points = Array.from({ length: 4000 }, (_, i) => [Math.cos(i) * 3, Math.sin(i)]).flat()
    const { x, y } = extentOf([points.concat(1000, 1000)])
    expect(x[1] - x[0]).toBeCloseTo(y[1] - y[0])
    expect(x[1]).toBeGreaterThan(3)
    expect(x[1]).toBeLessThan(5)
    expect(quantile([5, 1, 3], 0.5)).toBe(3)
  })
})

describe('figures', () => {
  test('ticks are round numbers inside the range', () => {
    expect(ticks(-4, 4, 4)).toEqual([-4, -2, 0, 2, 4])
    expect(ticks(0.13, 0.91, 4).map((value) => +value.toFixed(6))).toEqual([0.2, 0.4, 0.6, 0.8])
    expect(label(-0.25)).toBe('−0.25')
  })

  test('an axis has two ticks at least, however few are asked for', () => {
    expect(ticks(-1.6, 1.6, 3)).toEqual([-1, 0, 1])
    expect(ticks(2.1e6, 3.9e6, 2)).toEqual([2.5e6, 3e6, 3.5e6])
    for (const [lo, hi] of [
      [0.3, 0.4],
      [-7, 900],
      [1e6, 1e6 + 1]
    ] as const)
      for (const count of [1, 2, 5]) expect(ticks(lo, hi, count).length).toBeGreaterThan(1)
    const narrow = linePanel('', [], { width: 268, x: [2.1e6, 3.9e6] })
    expect([...narrow.matchAll(/>([\d,]+)</g)].map(([, text]) => text)).toEqual(
      expect.arrayContaining(['2,500,000', '3,500,000'])
    )
  })

  test('a logarithmic axis has its ticks at powers of ten, or finer where they are few', () => {
    const wide = logarithmic(2e-7, 0.5)
    expect(wide.ticks(9).map(wide.label)).toEqual(['10⁻⁶', '10⁻⁵', '10⁻⁴', '10⁻³', '0.01', '0.1'])
    expect(wide.place(Math.sqrt(2e-7 * 0.5))).toBeCloseTo(0.5)
    const labels = (lo: number, hi: number) => {
      const { ticks, label } = logarithmic(lo, hi)
      return ticks(4).map(label)
    }
    expect(labels(3e3, 4e5)).toEqual(['10,000', '100,000'])
    expect(labels(0.5, 2e8)).toEqual(['1', '100', '10⁴', '10⁶', '10⁸'])
    const narrow = logarithmic(8, 60)
    expect(narrow.ticks(4)).toEqual([10, 20, 50])
    expect(logarithmic(1e-4, 3e-4).ticks(4).map(wide.label)).toEqual(['10⁻⁴', '2·10⁻⁴'])
  })

  test('categories lie below each other, the first at the top', () => {
    const { place, ticks, label } = categorical(['a', 'b'])
    expect([place(0), place(1)]).toEqual([0.75, 0.25])
    expect(ticks(5).map(label)).toEqual(['a', 'b'])
  })

  test('a chart leaves out what its axes cannot show', () => {
    const points = [
      { x: 1, y: 0 },
      { x: 10, y: 1e-3 },
      { x: 100, y: 1e-5 },
      { x: Number.NaN, y: 1 }
    ]
    const panel = chartPanel({
      title: 'a < b',
      xName: 'n',
      yName: 'e',
      logX: true,
      logY: true,
      series: [{ name: 's', points }]
    })
    expect(panel).toContain('a &lt; b')
    expect(panel).not.toMatch(/NaN|Infinity/)
    expect(panel.match(/class="dots hue0" d="([^"]*)"/)![1]!.match(/M/g)).toHaveLength(2)
  })

  test('a figure stands alone and escapes what it is given', () => {
    const uri = colourPng({ width: 1, height: 1, levels: Uint8Array.from([7]) })
    const panels = [
      imagePanel('<data>', uri, extent),
      linePanel('loss & more', [{ name: 'batch', class: 'model', x: [0, 1, 2], y: [3, Number.NaN, 1] }])
    ]
    const text = figure(panels, 'path { fill: none }')
    expect(text).toContain('&lt;data&gt;')
    expect(text).toContain('loss &amp; more')
    expect(text).not.toContain('NaN')
    expect(text).not.toMatch(/(href|src)="(?!data:)/)
  })
})

describe('curves', () => {
  const regularisers = 'Regularisers, without their weights'
  const history = (length: number) => ({
    iteration: Array.from({ length }, (_, i) => i + 1),
    loss: Array.from({ length }, () => 2.5),
    validation: Array.from({ length }, (_, i) => (i % 100 === 99 ? 2.6 : null)),
    evaluations: Array.from({ length }, () => 26),
    backwardEvaluations: Array.from({ length }, () => null),
    accepted: Array.from({ length }, () => 4),
    rejected: Array.from({ length }, () => 0),
    gradientNorm: Array.from({ length }, () => 0.5),
    learningRate: Array.from({ length }, () => 1e-3),
    entropy: 2.3
  })

  test('a long run is thinned evenly, and every series keeps the length of the axis', () => {
    const { iteration, charts } = curves(history(10_001))
    expect(iteration.length).toBeLessThanOrEqual(2001)
    expect(iteration.at(-1)).toBe(10_001)
    for (const { series } of charts)
      for (const { values } of series) expect(values).toHaveLength(iteration.length)
  })

  test('what was never measured has no curve', () => {
    const names = curves(history(50)).charts.flatMap(({ series }) => series.map(({ name }) => name))
    expect(names).toContain('forward')
    expect(names).toContain('entropy')
    expect(names).not.toContain('backward')
    expect(names).not.toContain('validation')
    expect(curves(history(50)).charts.map(({ title }) => title)).not.toContain(regularisers)
  })

  test('every regulariser that was tracked has its curve', () => {
    const kinetic = Array.from({ length: 50 }, (_, i) => (i < 10 ? null : 1 / (i + 1)))
    const tracked = { ...history(50), regularisers: [{ name: 'kinetic', values: kinetic }] }
    const chart = curves(tracked).charts.find(({ title }) => title === regularisers)!
    expect(chart.series.map(({ name }) => name)).toEqual(['kinetic'])
    expect(chart.series[0]!.values[9]).toBeNull()
    expect(chart.series[0]!.values[49]).toBeCloseTo(0.02)
  })

  test('smoothing keeps a constant and starts without bias', () => {
    expect(smooth([2, 2, null, 2])).toEqual([2, 2, null, 2])
  })
})

describe('the page of a training run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-report-'))
  const path = join(folder, 'report.html')
  let page = ''
  let data: PageData

  beforeAll(() => {
    const command = join(__dirname, '..', 'dist', 'cli', 'index.js')
    const given = [
      '--data',
      'moons',
      '--hidden',
      '16,16',
      '--batch',
      '64',
      '--iterations',
      '30',
      '--test-rows',
      '500'
    ]
    const rest = [
      '--validate-every',
      '10',
      '--validation-rows',
      '100',
      '--rtol',
      '1e-3',
      '--atol',
      '1e-3',
      '--quiet'
    ]
    execFileSync(process.execPath, [command, 'train', ...given, ...rest, '--out', folder])
    page = readFileSync(path, 'utf8')
    data = JSON.parse(/id="report-data">(.*?)<\/script>/s.exec(page)![1]!)
  }, 120_000)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  function distinct(png: PNG): number {
    return new Set(
      new Uint32Array(png.data.buffer.slice(png.data.byteOffset, png.data.byteOffset + png.data.length))
    ).size
  }

  test('refers to nothing outside itself, and says so to the browser', () => {
    const markup = page.replace(/<script[^>]*>.*?<\/script>/gs, '')
    expect(markup.match(/\b(src|href|action|poster)\s*=\s*["']?(?!["']?data:).{0,80}/g)).toBeNull()
    expect(page.match(/<script[^>]+src/g)).toBeNull()
    expect(page.match(/url\(|@import|fetch\(|XMLHttpRequest|WebSocket|importScripts|sendBeacon/g)).toBeNull()
    expect(page).toContain("default-src 'none'")
    expect(statSync(path).size).toBeLessThan(4e6)
  })

  test('names the figures that count', () => {
    for (const name of [
      'Test NLL',
      'Entropy of the data',
      'KL gap',
      'End time T',
      'Steps accepted, rejected'
    ]) {
      expect(page).toContain(name)
    }
    expect(page.match(/>(NaN|undefined|Infinity|null)</g)).toBeNull()
  })

  test('shows data, true density, learned density and samples', () => {
    const images = [...page.matchAll(/<image href="(data:image\/png;base64,[^"]+)"/g)].map((match) =>
      pixels(match[1]!)
    )
    expect(images).toHaveLength(4)
    for (const image of images) expect(distinct(image)).toBeGreaterThan(20)
  })

  test('carries an animation from base to data', () => {
    const { times, density, particles, field } = data.animation!
    expect(times.at(-1)).toBe(0)
    expect(times).toEqual([...times].sort((a, b) => b - a))
    const length = (base64: string) => Buffer.from(base64, 'base64').length
    expect(length(particles.positions)).toBe(times.length * particles.count * 2 * 2)
    expect(length(particles.levels)).toBe(times.length * particles.count)
    expect(length(field.velocities)).toBe(times.length * field.size ** 2 * 2 * 2)
    expect(field.reach).toBeGreaterThan(0)
    const { width, height, data: levels } = pixels(density.png)
    expect(width).toBe(density.columns * density.size)
    expect(height).toBe(Math.ceil(times.length / density.columns) * density.size)
    const brightest = (frame: number) => {
      const [left, top] = [
        (frame % density.columns) * density.size,
        Math.floor(frame / density.columns) * density.size
      ]
      let most = 0
      for (let i = 0; i < density.size ** 2; i += 7) {
        const pixel = (top + Math.floor(i / density.size)) * width + left + (i % density.size)
        most = Math.max(most, levels[4 * pixel]!)
      }
      return most
    }
    for (const frame of times.keys()) expect(brightest(frame)).toBeGreaterThan(100)
  })

  test('carries the curves of training', () => {
    const { iteration, charts } = data.history!
    expect(iteration).toHaveLength(30)
    const names = charts.flatMap(({ series }) => series.map(({ name }) => name))
    for (const name of [
      'validation',
      'entropy',
      'forward',
      'backward',
      'accepted',
      'rejected',
      'gradient norm'
    ]) {
      expect(names).toContain(name)
    }
  })

  const browser = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
    existsSync
  )
  const where = browser ? '' : ' (skipped: no chromium here)'
  const inBrowser = browser ? test : test.skip
  inBrowser(
    `draws itself in a browser${where}`,
    () => {
      const open = (...given: string[]) =>
        execFileSync(
          browser!,
          [
            '--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking',
            '--disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=3000'
          ]
            .join(' ')
            .split(' ')
            .concat(`--user-data-dir=${join(folder, 'profile')}`, ...given, `file://${path}#t500`),
          { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1e8 }
        )
      const dom = open('--dump-dom').toString()
      expect(dom).toMatch(/<output id="clock">t = 0\.\d+<\/output>/)
      expect(dom.match(/class="uplot/g)).toHaveLength(data.history!.charts.length)
      const picture = join(folder, 'page.png')
      open(`--screenshot=${picture}`, '--window-size=1200,1100')
      expect(distinct(PNG.sync.read(readFileSync(picture)))).toBeGreaterThan(5000)
    },
    120_000
  )
})
