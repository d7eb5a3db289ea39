import { Flow, toy } from 'ffjord'

const data = toy('pinwheel', { seed: 0 })
const flow = await Flow.create({
  shape: [2],
  blocks: [
    {
      type: 'cnf',
      time: 0.5,
      trainTime: true,
      net: { hidden: [64, 64, 64], layer: 'concat', activation: 'tanh' }
    }
  ],
  seed: 0
})
const recipe = {
  optimizer: { type: 'adam', lr: 1e-2 },
  schedule: { type: 'cosine' },
  iterations: 2000,
  batch: 512
} as const
for await (const p of flow.fit(data, recipe)) {
  console.log(p.iteration, p.loss, p.nfe)
}
const logp = await flow.logProb([
  [0, 0],
  [1, 1]
]) // Float32Array, nats
const { data: x } = await flow.sample(10_000, { seed: 1 }) // Float32Array, (10000, 2)
console.log(logp, x.length)
await flow.save('model.safetensors')
