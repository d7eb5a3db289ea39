// The steps below fit: a loop of one's own, with the learning rate set by hand.
import { Flow, toy } from 'ffjord'

const data = toy('circles', { seed: 0 })
const flow = await Flow.create({
  shape: [2],
  blocks: [{ type: 'cnf', net: { hidden: [32, 32], layer: 'concat' } }],
  regularize: { kinetic: 0.01 }
})
const adam = flow.optimizer({ type: 'adam', lr: 1e-2, clipNorm: 10 })
const iterations = Number(process.argv[2] ?? 200)

for (let iteration = 1; iteration <= iterations; iteration++) {
  adam.lr = 1e-2 * Math.cos((Math.PI / 2) * (iteration / (iterations + 1)))
  const { loss, negativeLogProb, nfe } = await flow.loss(data.sample(256)) // its gradients stay on the device
  const { gradientNorm } = await adam.step()
  if (iteration === 1 || iteration % 20 === 0) {
    console.log(
      `${iteration}  loss ${loss.toFixed(3)}  −log p ${negativeLogProb.toFixed(3)}  ` +
        `|g| ${gradientNorm.toFixed(2)}  nfe ${nfe}`
    )
  }
}

// Weights and gradients go by the names of the reference implementation.
const gradients = flow.gradients()
for (const [name, { shape }] of Object.entries(flow.parameters())) {
  const norm = Math.hypot(...gradients[name]!.data)
  console.log(`${name}  [${shape.join(', ')}]  |gradient| ${norm.toExponential(2)}`)
}
