// What the report of an autoencoder shows, of a small model, and where its walks go.
import { PNG } from 'pngjs'
import { fromArray, Vae } from '../lib/index'
import { collectVaeReport } from '../lib/report/collect-vae'
import { imageSheet } from '../lib/report/image-sheet'
import { tellingDimensions, walk } from '../lib/report/latent'

/** Of the built package, which has the page's script beside it. */
const { reportPage } = require('../dist/report/page') as typeof import('../lib/report/page')

test('a walk goes from end to end at the distance from 0 that its ends have', () => {
  const points = walk(Float64Array.of(3, 0), Float64Array.of(0, 3), 5)
  expect([...points.subarray(0, 2)]).toEqual([3, 0])
  expect(points[8]).toBeCloseTo(0)
  expect(points[9]).toBeCloseTo(3)
  for (let step = 0; step < 5; step++)
    expect(Math.hypot(points[2 * step]!, points[2 * step + 1]!)).toBeCloseTo(3)
  expect([...walk(Float64Array.of(1, 1), Float64Array.of(3, 3), 3)]).toEqual([1, 1, 2, 2, 3, 3])
})

test('the dimensions shown are those that the flow moves, else those of the smallest spread', () => {
  const z0 = Float64Array.of(0, 0, 0, 1, 2, 3, -1, -2, -3)
  const moved = z0.map((value, i) => (i % 3 === 2 ? value + 9 : i % 3 === 1 ? value + 1 : value))
  expect(tellingDimensions(z0, moved, 3)).toEqual([2, 1])
  expect(tellingDimensions(z0, z0, 3)).toEqual([0, 1])
})

test('a sheet keeps the shape of its images', () => {
  const svg = imageSheet('Two', new Float32Array([1, 0, 0, 1, 0, 0]), [1, 3, 1], { columns: 2, width: 100 })
  const png = PNG.sync.read(Buffer.from(/base64,([^"]+)/.exec(svg)![1]!, 'base64'))
  expect([png.width, png.height]).toEqual([4, 3])
  const [, width, height] = /<image [^>]*width="([\d.]+)" height="([\d.]+)"/.exec(svg)!
  expect(Number(width) / Number(height)).toBeCloseTo(4 / 3)
})

test.each([
  { posterior: { type: 'planar', flows: 2 } as const, latent: 3, note: 'that the flow moves most' },
  { posterior: { type: 'none' } as const, latent: 1, note: 'There is no flow' }
])(
  'the page of $posterior.type has what the model shows',
  async ({ posterior, latent, note }) => {
    using vae = await Vae.create({
      shape: [1, 4, 3],
      likelihood: 'bernoulli',
      latent,
      encoder: [{ type: 'dense', units: 8, activation: 'tanh' }],
      decoder: [{ type: 'dense', units: 8, activation: 'tanh' }],
      head: [{ type: 'dense', units: 12 }],
      posterior
    })
    const images = fromArray(
      Float64Array.from({ length: 12 * 14 }, (_, i) => (i % 5 === 0 ? 1 : 0)),
      {
        shape: [1, 4, 3]
      }
    )
    const evaluation = await vae.evaluate(images)
    const column = (value: number | null) => [value, value]
    const report = await collectVaeReport({
      title: 'Stripes <b>',
      vae,
      test: images,
      evaluation,
      history: {
        iteration: [1, 2],
        lossTitle: '−ELBO, nats per image',
        loss: [9, 8],
        parts: [
          { name: 'reconstruction', values: [7, 6] },
          { name: 'KL', values: [2, 2] }
        ],
        kept: 2,
        validation: [9.5, 8.5],
        evaluations: column(null),
        backwardEvaluations: column(null),
        accepted: column(null),
        rejected: column(null),
        gradientNorm: [1, 1],
        learningRate: [1e-3, 1e-3]
      },
      ending: 'The weights of epoch 2 were kept.'
    })
    expect(report.highlights[0]).toMatchObject({ value: evaluation.negativeElbo.toFixed(2) })
    expect(report.sections.map(({ title }) => title)).toEqual([
      'Reconstructions',
      'Samples',
      'Walks through the latent space',
      'Posteriors of single images'
    ])
    expect(report.sections.at(-1)!.note).toContain(note)
    const page = reportPage(report)
    expect(page).toContain('Stripes &lt;b&gt;')
    expect(page).toContain('The weights of epoch 2 were kept.')
    expect(page).not.toMatch(/NaN|undefined<|(?:src|href)="(?!data:)/)
    const data = JSON.parse(/id="report-data">(.*?)<\/script>/s.exec(page)![1]!)
    expect(data.history.kept).toBe(2)
    expect(data.history.charts.map(({ title }: { title: string }) => title)).toEqual([
      '−ELBO, nats per image',
      'Its parts, smoothed',
      'Gradient norm and learning rate'
    ])
    // The first line of the first sheet is the images themselves.
    const sheet = report.sections[0]!.panels[0]!
    const png = PNG.sync.read(Buffer.from(/base64,([^"]+)/.exec(sheet)![1]!, 'base64'))
    for (let column = 0; column < 3; column++) expect(png.data[4 * column]).toBe(column % 5 === 0 ? 255 : 0)
  },
  60_000
)
