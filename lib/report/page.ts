import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MAGMA } from './colormap'
import { type Curves, curves } from './history'
import type { Animation, History, ImageAnimation, Listing, Report, Section } from './report'
import { FIGURE_STYLE, PAGE_STYLE } from './style'
import { escapeText } from './svg'

/** What the page's script reads: arrays in base64, little-endian. */
export interface PageData {
  animation?: {
    times: number[]
    colours: string
    density: Animation['density']
    particles: { count: number; positions: string; levels: string }
    /** Velocities as shares of `reach`; an arrow of `typical` speed is three quarters of a cell long. */
    field: { size: number; velocities: string; reach: number; typical: number }
  }
  images?: ImageAnimation
  history?: Curves
}

/** The report as one HTML file that refers to nothing outside itself. */
export function reportPage(report: Report): string {
  const data: PageData = {
    ...(report.animation && { animation: pack(report.animation) }),
    ...(report.images && { images: report.images }),
    ...(report.history && { history: curves(report.history) })
  }
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="ffjord">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeText(report.title)}</title>
<style>${report.history ? asset('uPlot.min.css') : ''}${FIGURE_STYLE}${PAGE_STYLE}</style>
</head>
<body>
<main>
<h1>${escapeText(report.title)}</h1>
<p class="quiet">${escapeText(report.subtitle)}</p>
<div class="highlights">${report.highlights.map(highlight).join('')}</div>
${report.sections.map(section).join('\n')}
${report.animation ? stage(report.animation) : ''}
${report.images ? imageStage(report.images) : ''}
${report.history ? training(report.history) : ''}
<section>
<h2>Details</h2>
<div class="tables">${report.tables.map(table).join('')}</div>
</section>
<footer>${escapeText(report.footer)}${report.command ? `<br><code>${escapeText(report.command)}</code>` : ''}</footer>
</main>
<script type="application/json" id="report-data">${JSON.stringify(data).replace(/</g, '\\u003c')}</script>
${report.history ? `<script>${asset('uPlot.iife.min.js')}</script>` : ''}
<script>(function () { var exports = {}; ${readFileSync(join(__dirname, 'client.js'), 'utf8')} })()</script>
</body>
</html>
`
}

function stage({ names: [across, up] }: Animation): string {
  return `<section>
<h2>From base to data</h2>
<p class="quiet">The flow run from the Gaussian base at t = T to the data at t = 0: the density on the way, samples coloured by their
density, and the velocity field (arrows towards the data) with the paths of a few samples. Across: ${escapeText(across)}; up: ${escapeText(up)}.</p>
<div class="panels stage">
<figure><figcaption>Density</figcaption><canvas id="density"></canvas></figure>
<figure><figcaption>Samples</figcaption><canvas id="particles"></canvas></figure>
<figure><figcaption>Vector field and paths</figcaption><canvas id="field"></canvas></figure>
</div>
${CONTROLS}
</section>`
}

function imageStage({ width, height }: ImageAnimation): string {
  return `<section>
<h2>From noise to images</h2>
<p class="quiet">Samples on their way from the Gaussian base at t = T to the data at t = 0, as the transforms in front of the dynamics show them.</p>
<canvas id="images" class="images" width="${width}" height="${height}" role="img" aria-label="Samples on their way from noise to images"></canvas>
${CONTROLS}
</section>`
}

/** Of an animation, of which a page has one. */
const CONTROLS = `<div class="controls"><button id="play" type="button">Play</button>
<input id="time" type="range" min="0" max="1000" step="1" value="1000" aria-label="Flow time">
<output id="clock"></output></div>`

function training({ ending = '' }: History): string {
  return `<section>
<h2>Training</h2>
<p class="quiet">${escapeText(ending ? `${ending} ` : '')}Drag across a curve to zoom in, double-click to zoom out.</p>
<div class="charts" id="charts"></div>
</section>`
}

function highlight({ name, value, note }: Report['highlights'][number]): string {
  return `<div><small>${escapeText(name)}</small><b>${escapeText(value)}</b>${note ? `<small>${escapeText(note)}</small>` : ''}</div>`
}

function section({ title, note, panels, key, listings = [] }: Section): string {
  return `<section>
<h2>${escapeText(title)}</h2>
<p class="quiet">${escapeText(note)}${key ? ' <span class="key"><i class="data"></i>data <i class="model"></i>samples</span>' : ''}</p>
${panels.length > 0 ? grid(panels) : ''}
${listings.map(listing).join('')}
</section>`
}

/** Panels beside each other as wide as the widest: they grow little, so that letters keep their size. */
function grid(panels: readonly string[]): string {
  const widths = panels.map((panel) => Number(/width="([\d.]+)"/.exec(panel)![1]))
  return `<div class="panels" style="--width: ${Math.max(...widths)}px">${panels.join('')}</div>`
}

function listing({ title, header, rows }: Listing): string {
  const head = header.map((name) => `<th>${within(name, NAME_LETTERS)}</th>`).join('')
  const body = rows.map(
    (row) => `<tr>${row.map((cell) => `<td>${within(cell, CELL_LETTERS)}</td>`).join('')}</tr>`
  )
  return `<h3>${escapeText(title)}</h3><div class="wide"><table class="rows"><tr>${head}</tr>${body.join('')}</table></div>`
}

const NAME_LETTERS = 28
const CELL_LETTERS = 40

/** At most so many letters; the whole of a longer text shows where the pointer rests. */
function within(text: string, letters: number): string {
  const all = [...text]
  if (all.length <= letters) return escapeText(text)
  return `<span title="${escapeText(text)}">${escapeText(all.slice(0, letters - 1).join(''))}…</span>`
}

function table({ title, rows }: Report['tables'][number]): string {
  const cells = rows.map(
    ([name, value]) => `<tr><th>${escapeText(name)}</th><td>${escapeText(value)}</td></tr>`
  )
  return `<div><h3>${escapeText(title)}</h3><table class="facts">${cells.join('')}</table></div>`
}

function asset(name: string): string {
  return readFileSync(require.resolve(`uplot/dist/${name}`), 'utf8').replace(/<\/script/g, '<\\/script')
}

function pack({ times, extent, density, particles, field }: Animation): NonNullable<PageData['animation']> {
  const spans = [extent.x, [extent.y[1], extent.y[0]]] as const
  const positions = Int16Array.from(particles.positions, (value, i) => {
    const [lo, hi] = spans[i % 2]!
    return Math.round(Math.min(1, Math.max(-1, (2 * (value - lo)) / (hi - lo) - 1)) * 32767)
  })
  // As shares of the picture, whose axes may have units of their own.
  const shares = Float64Array.from(
    field.velocities,
    (value, i) => value / (extentSpan(extent, i % 2 ? 'y' : 'x') || 1)
  )
  const speeds = Float64Array.from({ length: shares.length / 2 }, (_, i) =>
    Math.hypot(shares[2 * i]!, shares[2 * i + 1]!)
  ).sort()
  const reach = speeds[speeds.length - 1] || 1
  const typical = speeds[Math.floor(speeds.length / 2)] || reach
  const velocities = Int16Array.from(shares, (value) => Math.round((value / reach) * 32767))
  return {
    times,
    colours: base64(MAGMA),
    density,
    particles: { count: particles.count, positions: base64(positions), levels: base64(particles.levels) },
    field: { size: field.size, velocities: base64(velocities), reach, typical }
  }
}

function extentSpan(extent: Animation['extent'], axis: 'x' | 'y'): number {
  return extent[axis][1] - extent[axis][0]
}

function base64(array: Uint8Array | Int16Array): string {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('base64')
}
