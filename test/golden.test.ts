import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Block, type Device, Flow, type RealArray, readSafetensors, type Trace } from 'ffjord'
import { engineNames, engines } from './engines'

const folder = join(__dirname, 'golden')
const files = readdirSync(folder).filter((name) => name.endsWith('.safetensors'))
const cases = engineNames.flatMap((device) =>
  files
    .filter((name) => name.startsWith('dense') || engines.find((one) => one.name === device)!.convolutions)
    .map((name) => [device, name] as const)
)

/** Largest difference over the largest entry of `expected`. */
function error(values: ArrayLike<number>, expected: ArrayLike<number>, relative = true): number {
  expect(values.length).toBe(expected.length)
  let difference = 0
  let scale = relative ? 1e-30 : 1
  for (let i = 0; i < values.length; i++) {
    difference = Math.max(difference, Math.abs(values[i]! - expected[i]!))
    if (relative) scale = Math.max(scale, Math.abs(expected[i]!))
  }
  return difference / scale
}

/** One step for all rows, in evaluation as in training. */
const together = { control: 'batch', evaluation: { control: 'batch' } } as const

async function load(device: Device, name: string) {
  const { metadata, tensors } = await readSafetensors(join(folder, name))
  const tensor = (key: string) => tensors.get(key)?.data as Float64Array
  const law = metadata.trace as 'exact' | 'gaussian' | 'rademacher'
  const precise = device === 'reference'
  const flow = await Flow.create({
    shape: JSON.parse(metadata.shape!) as number[],
    blocks: JSON.parse(metadata.blocks!) as Block[],
    trace: (law === 'exact' ? law : { noise: law }) as Trace,
    solver: { ...(precise ? { rtol: 1e-10, atol: 1e-10 } : { rtol: 1e-6, atol: 1e-6 }), ...together },
    device
  })
  const parameters = [...tensors].filter(([key]) => key.startsWith('param.'))
  flow.setParameters(
    Object.fromEntries(parameters.map(([key, { data }]) => [key.slice('param.'.length), data as RealArray]))
  )
  const noise = [...tensors.keys()].filter((key) => key.startsWith('noise.')).sort()
  return { flow, tensor, given: noise.length > 0 ? { noise: noise.map(tensor) } : {} }
}

test.each(cases)('%s: %s', async (device, name) => {
  const [values, gradients] = device === 'reference' ? [1e-8, 1e-7] : [1e-4, 1e-3]
  const { flow, tensor, given } = await load(device, name)
  const x = tensor('x')
  const { z, deltaLogp } = await flow.forward(x, given)
  expect(error(z.data, tensor('z'), false)).toBeLessThan(values)
  expect(error(deltaLogp, tensor('delta_logp'), false)).toBeLessThan(values)
  expect(error(await flow.logProb(x, given), tensor('log_prob'), false)).toBeLessThan(values)

  // The vectors hold batch norm in evaluation mode, so the loss is put together from a solve.
  using solution = await flow.solve(x, { ...given, training: false })
  const rows = deltaLogp.length
  const bar = {
    z: { data: solution.z.data.map((value) => value / rows), shape: solution.z.shape },
    deltaLogp: new Float64Array(rows).fill(1 / rows)
  }
  const xBar = await solution.pullback(bar)
  expect(error(xBar.data, tensor('grad_x'))).toBeLessThan(gradients)
  for (const [key, { data }] of Object.entries(flow.gradients())) {
    const expected = tensor(`grad.${key}`)
    if (expected) expect({ key, off: error(data, expected) < gradients }).toEqual({ key, off: true })
    else expect(key).toMatch(/\.beta$/) // a constant in the vectors
  }

  const t = tensor('dynamics.t')[0]!
  const point = { t, divergence: true, ...(given.noise && { noise: given.noise.slice(0, 1) }) }
  const { f, divergence } = await flow.velocity(tensor('dynamics.y'), point)
  expect(error(f.data, tensor('dynamics.f'), false)).toBeLessThan(values)
  expect(error(divergence!, tensor('dynamics.divergence'), false)).toBeLessThan(values)
  flow.dispose()
})
