import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { Flow, fromImage, type LawDataset, type ToyName, toy, toyNames } from 'ffjord'
import { PNG } from 'pngjs'
import type { Recipe } from '../lib/cli/recipe'
import { optionsOf, pictureRecipe, toyRecipe } from '../lib/cli/recipes'
import { animate } from '../lib/report/animate'
import { densityLevel, MAGMA } from '../lib/report/colormap'
import { FINE } from '../lib/report/plane'
import { type Extent, histogramDensity, pixelCentres, quantile } from '../lib/report/raster'
import type { AblationContext } from './ablation/part'
import { tolerance } from './ablation/tolerance'

/** The figures of README.md, `npm run figures`: half an hour of training. `--only NAME` draws one; `--quick` only shows that it runs. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, only: { type: 'string' }, out: { type: 'string' } }
  })
  const root = dirname(require.resolve('ffjord/package.json'))
  const out = values.out ?? join(root, 'docs/figures')
  mkdirSync(out, { recursive: true })
  const context: AblationContext = {
    quick: values.quick,
    device: 'cpu',
    note: (text) => console.error(text)
  }
  const figures: Record<string, () => Promise<string | Buffer>> = {
    'tolerance.svg': async () => (await tolerance(context)).figure,
    'densities.png': () => densities(context),
    'flow.png': () => film(context, join(root, 'examples/fjord.png'))
  }
  if (values.only && !(values.only in figures))
    throw new Error(`--only takes ${Object.keys(figures).join(', ')}, not ${values.only}`)
  for (const name of values.only ? [values.only] : Object.keys(figures))
    writeFileSync(join(out, name), await figures[name]!())
}

const EXTENT: Extent = { x: [-4.2, 4.2], y: [-4.2, 4.2] }
const SIZE = 100

/** Rows of data above, learned densities below, a column a density. */
async function densities(context: AblationContext): Promise<Buffer> {
  const { quick, note } = context
  const names = toyNames.filter((name) => name !== 'line' && name !== 'cos').slice(0, quick ? 1 : 8)
  const [above, below]: [Picture[], Picture[]] = [[], []]
  for (const name of names) {
    const flow = await trained(toy(name, { seed: 1 }), toyRecipe, quick)
    note(name)
    const learned = Float64Array.from(await flow.logProb(pixelCentres(EXTENT, SIZE)), Math.exp)
    flow.dispose()
    above.push(picture(rowsOf(name), SIZE))
    below.push(picture(learned, SIZE))
  }
  return mosaic([above, below])
}

function rowsOf(name: ToyName): Float64Array {
  return histogramDensity(toy(name, { seed: 5 }).sample(100_000).data, EXTENT, SIZE)
}

/** Densities on the way from the base to a picture. */
async function film({ quick, note }: AblationContext, path: string): Promise<Buffer> {
  const flow = await trained(await fromImage(path), pictureRecipe, quick)
  note('picture')
  const frames = 6
  const detail = { ...FINE, frames, ...(quick && { mesh: 20, particles: 100 }) }
  const { density } = await animate(flow, detail, 1, [{ name: 'x' }, { name: 'y' }])
  flow.dispose()
  const sheet = PNG.sync.read(Buffer.from(density.png.replace(/^.*base64,/, ''), 'base64'))
  const { size, columns } = density
  // The picture is wider than high: the middle of each frame holds it.
  const [top, height] = [Math.round(size * 0.2), Math.round(size * 0.6)]
  const pictures = Array.from({ length: frames }, (_, frame): Picture => {
    const levels = new Uint8Array(size * height)
    levels.forEach((_, i) => {
      const row = Math.floor(frame / columns) * size + top + Math.floor(i / size)
      levels[i] = sheet.data[4 * (row * sheet.width + (frame % columns) * size + (i % size))]!
    })
    return { width: size, height, levels }
  })
  return mosaic([pictures.slice(0, frames / 2), pictures.slice(frames / 2)])
}

/** What `ffjord train` makes of the data by default. */
async function trained(data: LawDataset, recipe: Recipe, quick: boolean): Promise<Flow> {
  const { flow: options, fit } = optionsOf(recipe)
  const flow = await Flow.create(options)
  await flow.fit(data, { ...fit, ...(quick && { iterations: 20 }) })
  return flow
}

/** Colour levels (height, width), row 0 at the top. */
interface Picture {
  width: number
  height: number
  levels: Uint8Array
}

function picture(density: Float64Array, size: number): Picture {
  const peak = quantile(density, 0.995)
  return { width: size, height: size, levels: Uint8Array.from(density, (value) => densityLevel(value, peak)) }
}

/** Pictures of one size in rows, with gaps, as a PNG in colour. */
function mosaic(rows: Picture[][]): Buffer {
  const GAP = 4
  const { width, height } = rows[0]![0]!
  const across = Math.max(...rows.map((row) => row.length))
  const png = new PNG({ width: across * (width + GAP) - GAP, height: rows.length * (height + GAP) - GAP })
  png.data.fill(0) // transparent
  rows.forEach((row, r) => {
    row.forEach(({ levels }, c) => {
      levels.forEach((level, i) => {
        const y = r * (height + GAP) + Math.floor(i / width)
        const x = c * (width + GAP) + (i % width)
        png.data.set([...MAGMA.subarray(3 * level, 3 * level + 3), 255], 4 * (y * png.width + x))
      })
    })
  })
  return PNG.sync.write(png)
}

main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
