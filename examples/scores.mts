// What a density is good for once it is learned: find outliers, and climb to a mode along the score ∇ log p.
import { Flow, toy } from 'ffjord'

const flow = await Flow.create({
  shape: [2],
  blocks: [{ type: 'cnf', trainTime: true, net: { hidden: [64, 64] } }]
})
const data = toy('8gaussians')
await flow.fit(data, {
  iterations: Number(process.argv[2] ?? 400),
  batch: 256,
  optimizer: { type: 'adam', lr: 5e-3 }
})

// Rows less likely than all but one in a hundred of the data are outliers.
const known = (await flow.logProb(data.sample(2000))).sort()
const threshold = known[20]!
const rows = [
  [2.8, 0],
  [0, 2.7],
  [0, 0],
  [6, -6]
]
const logProb = await flow.logProb(rows)
rows.forEach((row, i) => {
  const verdict = logProb[i]! < threshold ? 'outlier' : 'as expected'
  console.log(`[${row}]  log p ${logProb[i]!.toFixed(2)}  ${verdict}`)
})

// Gradient ascent on log p from somewhere on the slope.
let x = [[2.2, 0.6]]
for (let step = 0; step < 200; step++) {
  const { data: score } = await flow.score(x)
  x = [x[0]!.map((value, i) => value + 0.02 * score[i]!)]
}
console.log(`mode near (2.83, 0): (${x[0]!.map((value) => value.toFixed(2)).join(', ')})`)
