// Whether the installed package works on this platform and runtime: node test/platform.mjs, in a folder whose node_modules
// has ffjord. Prints one line of JSON; a failure throws. Run where jest does not: emulated processors, Alpine, Bun, Deno.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deviceInfo, Flow, fromFile, toy } from 'ffjord'

const check = (holds, what) => {
  if (!holds) throw new Error(`not so: ${what}`)
}
const largest = (a, b) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)

const folder = mkdtempSync(join(tmpdir(), 'ffjord-platform-'))
const model = join(folder, 'model.safetensors')
const blocks = [
  { type: 'cnf', trainTime: true, net: { hidden: [16, 16], layer: 'concatsquash', activation: 'tanh' } }
]

const flow = await Flow.create({ shape: [2], blocks, device: 'cpu', seed: 0 })
const accuracy = { trace: 'exact', rtol: 1e-6, atol: 1e-6 }
const rows = toy('moons').sample(64).data
const total = (values) => values.reduce((sum, value) => sum + value, 0)
const untrained = await flow.logProb(rows, accuracy)
await flow.fit(toy('moons'), { iterations: 30, batch: 128, optimizer: { type: 'adam', lr: 1e-2 } })
await flow.save(model)

const logp = await flow.logProb(rows, accuracy)
check(total(logp) > total(untrained), 'rows of the law become more likely')
const again = await Flow.load(model, { device: 'cpu' })
check(largest(logp, await again.logProb(rows, accuracy)) === 0, 'a saved model gives the same bits')
const reference = await Flow.load(model, { device: 'reference' })
const apart = largest(logp, await reference.logProb(rows, accuracy))
check(apart < 1e-4, 'float32 kernels agree with the float64 engine')

const { data } = await again.sample(100, { seed: 1 })
check(data.length === 200 && data.every(Number.isFinite), 'samples are numbers')
const code = await again.logProb([[0, 0, 0]]).catch((error) => error.code)
check(code === 'INVALID_SHAPE', 'a wrong shape has its code')

writeFileSync(
  join(folder, 'table.csv'),
  `a,b\n${Array.from({ length: 50 }, (_, i) => `${Math.sin(i)},${i % 7}`).join('\n')}\n`
)
const table = await fromFile(join(folder, 'table.csv'), { dequantize: true })
check(table.rows === 50, 'a table has its rows')
for (const one of [flow, again, reference]) one.dispose()
rmSync(folder, { recursive: true })

const [cpu] = deviceInfo().filter(({ name }) => name === 'cpu')
const where = `${process.platform}-${process.arch}`
console.log(
  JSON.stringify({
    platform: where,
    device: cpu.description,
    apart,
    nll: [untrained, logp].map((values) => -total(values) / values.length)
  })
)
