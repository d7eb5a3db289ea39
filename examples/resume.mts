// Training in two sittings ends with the same bits as in one: a model file holds optimizer, noise and data order too.
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, fromRows } from 'ffjord'

const rows = Array.from({ length: 500 }, (_, i) => [Math.sin(i) + 0.1 * Math.sin(37 * i), Math.cos(2 * i)])
const data = () => fromRows(rows, { columns: ['a', 'b'] })
const create = () =>
  Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', net: { hidden: [32, 32] } }],
    trace: { noise: 'rademacher' },
    seed: 7
  })
const options = { batch: 64, optimizer: { type: 'adam', lr: 3e-3 } } as const

const whole = await create()
await whole.fit(data(), { ...options, iterations: 60 })

const path = join(await mkdtemp(join(tmpdir(), 'ffjord-')), 'half.safetensors')
const first = await create()
await first.fit(data(), { ...options, iterations: 25 })
await first.save(path)

const second = await Flow.load(path)
const result = await second.fit(data(), { ...options, iterations: 60, resume: true })
console.log(`resumed at iteration 25, ended at ${result.iterations}, loss ${result.loss.toFixed(4)}`)

const [a, b] = [whole.parameters(), second.parameters()]
const same = Object.entries(a).every(([name, { data }]) =>
  data.every((value, i) => value === b[name]!.data[i])
)
console.log(same ? 'same weights, bit for bit' : 'the weights differ')
