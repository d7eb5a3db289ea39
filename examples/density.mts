// A density on the plane: train it, compare it with the true one, check that it integrates to 1.
import { Flow, toy } from 'ffjord'

const data = toy('8gaussians', { seed: 0 })
using flow = await Flow.create({
  shape: [2],
  blocks: [
    { type: 'cnf', trainTime: true, net: { hidden: [64, 64], layer: 'concatsquash', activation: 'tanh' } }
  ],
  trace: 'exact',
  solver: { method: 'dopri5', rtol: 1e-4, atol: 1e-4, evaluation: { rtol: 1e-6, atol: 1e-6 } },
  seed: 0
})
const iterations = Number(process.argv[2] ?? 1000)
const fit = flow.fit(data, {
  iterations,
  batch: 512,
  optimizer: { type: 'adam', lr: 5e-3 },
  schedule: { type: 'cosine', warmup: 50 }
})
for await (const p of fit) {
  process.stderr.write(
    `\r${p.iteration}/${p.iterations}  loss ${p.loss.toFixed(3)}  ${p.etaSeconds.toFixed(0)} s left `
  )
}

const test = toy('8gaussians', { seed: 1 })
const { nll, standardError, nfe } = await flow.evaluate(test, { rows: 10_000 })
console.log(
  `\ntest NLL ${nll.toFixed(3)} ± ${standardError.toFixed(3)}, entropy of the data ${test.entropy.toFixed(3)}`
)
console.log(`${nfe.toFixed(0)} evaluations of the dynamics a row, trace ${flow.traces[0]}`)

// A density is at least 0 and integrates to 1: a Riemann sum over [-6, 6]².
const side = 150
const cell = (12 / side) ** 2
const grid = Array.from({ length: side * side }, (_, i) => [
  -6 + (12 * ((i % side) + 0.5)) / side,
  -6 + (12 * (Math.floor(i / side) + 0.5)) / side
])
const mass = (await flow.logProb(grid)).reduce((sum, value) => sum + Math.exp(value) * cell, 0)
console.log(`integral of the density ${mass.toFixed(4)}`)
