// A density that depends on something: where a noisy pendulum is, given the time. Flow matching first, then maximum
// likelihood for the last digit, and log-densities that say how far they may be off.
import { Flow, fromArray, toy } from 'ffjord'

const rows = 4000
const time = Float32Array.from({ length: rows }, (_, i) => (4 * i) / rows)
const noise = toy('8gaussians', { seed: 0 }).sample(rows).data // two numbers a row: one is enough
const swing = (t: number) => 2 * Math.cos(2 * t) * Math.exp(-0.2 * t)
const place = time.map((t, i) => swing(t) + 0.05 * noise[2 * i]!)

const data = fromArray(place, { shape: [1], context: time, columns: ['place'], contextColumns: ['time'] })
using flow = await Flow.create({
  shape: [1],
  blocks: [{ type: 'cnf', time: 1, net: { hidden: [64, 64] } }],
  context: { size: 1, gates: true, columns: ['time'], mean: [2], scale: [1.2] },
  solver: { rtol: 1e-4, atol: 1e-4 }
})
const iterations = Number(process.argv[2] ?? 4000)
await flow.fit(data, {
  iterations,
  batch: 256,
  objective: { type: 'fm+ml', matching: Math.round(0.9 * iterations) },
  optimizer: { type: 'adam', lr: 5e-3 },
  schedule: { type: 'cosine' }
})
const { nll } = await flow.evaluate(data)
console.log(`NLL ${nll.toFixed(3)}`)

for (const t of [0.5, 1, 2, 3]) {
  const { data: x } = await flow.sample(1000, { context: [[t]], seed: 1 })
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length
  console.log(`at time ${t} around ${mean.toFixed(2)} (without noise ${swing(t).toFixed(2)})`)
}
const { logProb, solverError } = await flow.logProb([[2], [0]], { context: [[0.1]], certify: true })
console.log(
  `soon after the start: ${logProb[0]!.toFixed(2)} ± ${(2 * solverError[0]!).toExponential(0)} nats`
)
