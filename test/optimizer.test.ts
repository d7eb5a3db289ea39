import { Flow, type OptimizerOptions } from 'ffjord'
import { engineNames, engines } from './engines'

/** The published update rules, one weight at a time (Kingma and Ba 2015; Loshchilov and Hutter 2019). */
interface Moments {
  m: number
  v: number
}
type Rule = (w: number, g: number, at: Moments, step: number, decay: number) => number

const lr = 0.05
const adam = (g: number, at: Moments, step: number): number => {
  at.m = 0.9 * at.m + 0.1 * g
  at.v = 0.999 * at.v + 0.001 * g * g
  return (lr * (at.m / (1 - 0.9 ** step))) / (Math.sqrt(at.v / (1 - 0.999 ** step)) + 1e-8)
}
const rules: [OptimizerOptions['type'], Rule][] = [
  ['adam', (w, g, at, step, decay) => w - adam(g + decay * w, at, step)],
  ['adamw', (w, g, at, step, decay) => w - lr * decay * w - adam(g, at, step)],
  [
    'adamax',
    (w, g, at, step, decay) => {
      const d = g + decay * w
      at.m = 0.9 * at.m + 0.1 * d
      at.v = Math.max(0.999 * at.v, Math.abs(d) + 1e-8)
      return w - ((lr / (1 - 0.9 ** step)) * at.m) / at.v
    }
  ],
  [
    'sgd',
    (w, g, at, _step, decay) => {
      at.m = 0.7 * at.m + g + decay * w
      return w - lr * at.m
    }
  ]
]

describe.each(engineNames)('on %s', (device) => {
  const float64 = engines.find(({ name }) => name === device)!.precision === 'float64'

  test.each(rules)('%s follows its rule, decays matrices alone and clips by norm', async (type, rule) => {
    const flow = await Flow.create({
      shape: [2],
      blocks: [{ type: 'cnf', trainTime: true, net: { hidden: [5], layer: 'concatsquash' } }],
      device
    })
    const decay = 0.1
    const clip = 0.5
    const adam = flow.optimizer({
      type,
      lr,
      weightDecay: decay,
      clipNorm: clip,
      ...(type === 'sgd' ? { momentum: 0.7 } : {})
    } as OptimizerOptions)
    const moments: Record<string, Moments[]> = {}
    let clipped = 0
    for (let step = 1; step <= 3; step++) {
      const before = flow.parameters()
      await flow.loss([
        [3, 1],
        [-2, 4]
      ])
      const gradients = flow.gradients()
      const norm = Math.sqrt(
        Object.values(gradients)
          .flatMap(({ data }) => [...data])
          .reduce((sum, g) => sum + g * g, 0)
      )
      const scale = norm > clip ? clip / norm : 1
      if (scale < 1) clipped++
      expect((await adam.step()).gradientNorm).toBeCloseTo(norm, 5)
      for (const [name, { data }] of Object.entries(flow.parameters())) {
        const decays = name.endsWith('_layer.weight') ? decay : 0
        moments[name] ??= Array.from(data, () => ({ m: 0, v: 0 }))
        for (let i = 0; i < data.length; i++) {
          const expected = rule(
            before[name]!.data[i]!,
            scale * gradients[name]!.data[i]!,
            moments[name]![i]!,
            step,
            decays
          )
          expect(Math.abs(data[i]! - expected)).toBeLessThan(float64 ? 1e-12 : 1e-5)
        }
      }
    }
    expect(clipped).toBeGreaterThan(0)
    flow.dispose()
  })

  test('without trainTime the end time stays, though it has a gradient', async () => {
    const flow = await Flow.create({ shape: [1], blocks: [{ type: 'cnf', net: { hidden: [3] } }], device })
    const optimizer = flow.optimizer({ type: 'sgd', lr: 1 })
    const before = flow.endTimes[0]
    await flow.loss([[2], [3]])
    await optimizer.step()
    expect(flow.endTimes[0]).toBe(before)
    expect(Math.abs(flow.gradients()['chain.0.sqrt_end_time']!.data[0]!)).toBeGreaterThan(0)
    flow.dispose()
  })
})
