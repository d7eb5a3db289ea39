/** Model files that lie: each is refused with a code, or is a flow whose densities are numbers. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, type FlowOptions, readSafetensors, type StoredTensor, writeSafetensors } from 'ffjord'
import { parseJson } from '../lib/file/json'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-hostile-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A file of header text and body as they are given. */
function raw(header: string | Uint8Array, body: Uint8Array = new Uint8Array(0)): string {
  const text = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const path = join(folder, 'raw.safetensors')
  writeFileSync(path, Buffer.concat([length, text, body]))
  return path
}

function parts(path: string): { header: string; body: Buffer } {
  const bytes = readFileSync(path)
  const end = 8 + Number(bytes.readBigUInt64LE(0))
  return { header: bytes.subarray(8, end).toString(), body: bytes.subarray(end) }
}

async function saved(options: FlowOptions, train = false): Promise<string> {
  using flow = await Flow.create(options)
  const rows = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i))
  if (train) await flow.fit(rows, { iterations: 2, batch: 8, optimizer: { type: 'adam' } })
  const path = join(folder, 'saved.safetensors')
  await flow.save(path)
  return path
}

async function rewrite(
  path: string,
  change: (tensors: Map<string, StoredTensor>, metadata: Record<string, string>) => void
): Promise<string> {
  const { tensors, metadata } = await readSafetensors(path)
  change(tensors, metadata)
  const changed = join(folder, 'changed.safetensors')
  await writeSafetensors(changed, { tensors, metadata })
  return changed
}

const cnf = { type: 'cnf', net: { hidden: [4] } } as const
const plain: FlowOptions = { shape: [2], blocks: [cnf] }
const normed: FlowOptions = { shape: [2], blocks: [{ type: 'batch_norm' }, cnf] }
const spectral: FlowOptions = {
  shape: [2],
  blocks: [{ type: 'cnf', net: { hidden: [4, 4], spectralNorm: 1 } }]
}

describe('the header', () => {
  test.each([
    ['a name twice', '{"a":1,"b":2,"a":3}'],
    ['a name twice, spelled with an escape', '{"a":1,"\\u0061":3}'],
    ['a name twice in an object within', '{"x":{"a":1,"a":1}}'],
    ['a name twice in an object of a list', '{"x":[{"a":1},{"b":1,"b" : 1}]}'],
    ['deep nesting', `{"x":${'['.repeat(1e6)}${']'.repeat(1e6)}}`]
  ])('%s is refused', (_, text) => {
    expect(() => parseJson(text)).toThrow(/twice|nested/)
  })

  test('names that differ, and strings that look like names, are read', () => {
    const text =
      '{"a":"a","b":["a","a"],"c":{"a":"\\"a\\":1,{\\"a\\":","__proto__":2},"":[],"d":{"a":{"a":1}}}'
    expect(parseJson(text)).toEqual(JSON.parse(text))
  })

  test('names twice, byte order marks, gaps, overlaps and numbers beyond integers are refused', async () => {
    const { header, body } = parts(await saved(plain))
    const entry = '"extra":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    const first = /"chain\.0\.sqrt_end_time":\{[^}]+\}/.exec(header)![0]
    const [begin, end] = (JSON.parse(header) as Record<string, { data_offsets: number[] }>)[
      'chain.0.sqrt_end_time'
    ]!.data_offsets as [number, number]
    const moved = (offsets: string) =>
      header.replace(first, first.replace(/"data_offsets":\[[^\]]+\]/, `"data_offsets":[${offsets}]`))
    for (const text of [
      header.replace('{', `{${first},`),
      header.replace('{', `{${entry},${entry},`),
      header.replace('{', '{"__metadata__":{},'),
      header.replace('"format":', '"\\u0066ormat":"pt","format":'),
      header.replace('"dtype":"F32"', '"dtype":"F32","dtype":"F64"'),
      `\ufeff${header}`,
      moved(`${begin + 4},${end + 4}`),
      moved(`${begin},${end}.5`),
      moved(`${begin},1e400`),
      moved(`${begin},9007199254740993`),
      moved(`${begin},-4`),
      header.replace('"shape":[1]', '"shape":[9007199254740993]'),
      header.replace('"dtype":"F32"', '"dtype":"toString"'),
      '[]',
      'null',
      ''
    ]) {
      const { message } = await failure(() => Flow.load(raw(text, body)), 'INVALID_FILE')
      expect(message).toContain('raw.safetensors')
    }
    await failure(() => Flow.load(raw(header, Buffer.concat([body, Buffer.alloc(4)]))), 'INVALID_FILE')
    await failure(() => Flow.load(raw(header, body.subarray(4))), 'INVALID_FILE')
    using flow = await Flow.load(raw(header, body))
    expect(flow.shape).toEqual([2])
  })
})

test('a small file that describes a large model takes no memory and no time', async () => {
  const path = await rewrite(await saved(plain), (_, metadata) => {
    metadata.blocks = JSON.stringify([{ type: 'cnf', net: { hidden: [12_000, 12_000] } }])
  })
  const before = process.memoryUsage().rss
  const begun = performance.now()
  await failure(() => Flow.load(path), 'WRONG_MODEL')
  expect(performance.now() - begun).toBeLessThan(1000) // drawing the weights takes some ten seconds
  expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28) // and they 550 MiB
})

test('a pipe is refused, not waited for', async () => {
  const path = join(folder, 'pipe.safetensors')
  execFileSync('mkfifo', [path])
  await failure(() => Flow.load(path), 'FILE_NOT_READABLE')
})

describe('weights and statistics that no flow has are refused, from files and from callers', () => {
  test.each<[string, FlowOptions, string, number]>([
    ['a negative variance', normed, 'chain.0.running_var', -1],
    ['a variance whose slope is beyond float32', normed, 'chain.0.weight', 200],
    ['a slope that vanishes', normed, 'chain.0.weight', -200],
    ['a negative count of steps', normed, 'chain.0.step', -1],
    ['a part of a step', normed, 'chain.0.step', 0.5],
    ['an end time of 0', plain, 'chain.0.sqrt_end_time', 0],
    ['an end time beyond float32', plain, 'chain.0.sqrt_end_time', 1e20],
    ['a norm of 0', spectral, 'chain.0.odefunc.diffeq.layers.0._layer.weight_u', 0],
    ['a norm of 0 by v', spectral, 'chain.0.odefunc.diffeq.layers.1._layer.weight_v', 0],
    ['a matrix of zeros under a norm', spectral, 'chain.0.odefunc.diffeq.layers.1._layer.weight_orig', 0]
  ])('%s', async (_, options, name, value) => {
    const path = await rewrite(await saved(options), (tensors) => {
      ;(tensors.get(name)!.data as Float32Array).fill(value)
    })
    const { message } = await failure(() => Flow.load(path), 'INVALID_FILE')
    expect(message).toContain(name.replace(/_(u|v|orig)$/, ''))

    using flow = await Flow.create(options)
    const before = { ...flow.parameters(), ...flow.buffers() }
    const data = before[name]!.data.map(() => value)
    await failure(() => flow.setParameters({ [name]: data }), 'INVALID_INPUT')
    expect({ ...flow.parameters(), ...flow.buffers() }).toEqual(before)
  })

  test.each([[Symbol('x')], ['4'], [null], [4.5], 4, 'x'])('nor is %p a shape', async (shape) => {
    using flow = await Flow.create(plain)
    const bias = { data: new Float32Array(4), shape: shape as number[] }
    await failure(
      () => flow.setParameters({ 'chain.0.odefunc.diffeq.layers.0._layer.bias': bias }),
      'INVALID_OPTION'
    )
  })

  test('a number that is finite in float64 alone', async () => {
    const path = await rewrite(await saved(plain), (tensors) => {
      const name = 'chain.0.odefunc.diffeq.layers.0._layer.bias'
      tensors.set(name, { shape: [4], data: new Float64Array(4).fill(1e300) })
    })
    await failure(() => Flow.load(path, { device: 'cpu' }), 'INVALID_FILE')
  })

  test('a negative second moment, and counts that are none', async () => {
    const path = await saved(plain, true)
    const name = 'optimizer.exp_avg_sq.chain.0.odefunc.diffeq.layers.0._layer.bias'
    const moments = await rewrite(path, (tensors) => {
      ;(tensors.get(name)!.data as Float32Array).fill(-1)
    })
    await failure(() => Flow.load(moments), 'INVALID_FILE')
    for (const count of ['random.seed', 'random.call'])
      for (const data of [BigInt64Array.of(-1n), BigInt64Array.of(2n ** 60n), Float32Array.of(0.5)]) {
        const counted = await rewrite(path, (tensors) => tensors.set(count, { shape: [1], data }))
        await failure(() => Flow.load(counted), 'INVALID_FILE')
      }
  })
})

describe('descriptions', () => {
  test.each<[string, FlowOptions['blocks'], string]>([
    ['a scale of 0', [{ type: 'standardize', mean: [0, 0], scale: [1, 0] }, cnf], 'scale[1]'],
    ['a negative scale', [{ type: 'standardize', mean: [0, 0], scale: [-1, 1] }, cnf], 'scale[0]'],
    [
      'a scale whose inverse overflows',
      [{ type: 'standardize', mean: [0, 0], scale: [1, 1e-310] }, cnf],
      'scale[1]'
    ],
    [
      'a scale beyond float32 behind a net',
      [cnf, { type: 'standardize', mean: [0, 0], scale: [1e39, 1] }],
      'scale[0]'
    ],
    ['one below it', [cnf, { type: 'standardize', mean: [0, 0], scale: [1e-40, 1] }], 'scale[0]'],
    ['a mean of null', [{ type: 'standardize', mean: [0, null as never], scale: [1, 1] }, cnf], 'mean[1]'],
    ['a diagonal of 0', [{ type: 'whiten', mean: [0, 0], matrix: [1, 0, 0, 0] }, cnf], 'matrix'],
    [
      'a diagonal whose inverse overflows',
      [{ type: 'whiten', mean: [0, 0], matrix: [1, 0, 0, 1e-320] }, cnf],
      'matrix'
    ],
    ['ends in the wrong order', [{ type: 'support', lower: [1, 0], upper: [1, 1] }, cnf], 'upper[0]'],
    [
      'an interval too wide to divide by',
      [{ type: 'support', lower: [-1e308, 0], upper: [1e308, 1] }, cnf],
      'upper[0]'
    ],
    ['an end time beyond float32', [{ ...cnf, time: 1e300 }], 'time'],
    ['an end time that vanishes', [{ ...cnf, time: 1e-300 }], 'time']
  ])('%s is refused, with its place', async (_, blocks, place) => {
    const error = await failure(() => Flow.create({ shape: [2], blocks }), 'INVALID_OPTION')
    expect(error.message).toContain(place)
    const path = await rewrite(await saved(plain), (_tensors, metadata) => {
      metadata.blocks = JSON.stringify(blocks)
    })
    const { message } = await failure(() => Flow.load(path), 'INVALID_FILE')
    expect(message).toContain(place)
    expect(message).toContain('changed.safetensors')
  })

  test.each([
    ['trace', '"often"'],
    ['solver', '{"method":"euler"}'],
    ['solver', '{"method":"dopri5","rtol":-1}'],
    ['gradient', '7'],
    ['regularize', '{"kinetic":null}'],
    ['device', '"cuda"'],
    ['threads', '1']
  ])('options of the wrong kind name the file: %s %s', async (key, value) => {
    const path = await rewrite(await saved(plain), (_, metadata) => {
      metadata.ffjord = `{"version":1,"options":{"${key}":${value}},"traces":[]}`
    })
    const { message } = await failure(() => Flow.load(path), 'INVALID_FILE')
    expect(message).toContain('changed.safetensors')
  })

  test.each([
    '{"columns":[{"name":"a","type":"real"}]}',
    '{"columns":[{"name":"a","type":"category"},{"name":"b","type":"real"}]}',
    '{"columns":[{"name":"a","type":"real","step":0},{"name":"b","type":"real"}]}',
    '{"columns":[{"name":"a","type":"real"},{"name":"b","type":"real"}],"logProbQuantiles":["1"]}',
    '{"columns":{"length":2}}',
    '[]'
  ])('a table that is none names the file: %s', async (table) => {
    const path = await rewrite(await saved(plain), (_, metadata) => {
      metadata.ffjord = `{"version":1,"options":{},"traces":[],"table":${table}}`
    })
    const { message } = await failure(() => Flow.load(path), 'INVALID_FILE')
    expect(message).toContain('changed.safetensors')
  })

  test('what the caller gives is not blamed on the file', async () => {
    const path = await saved(plain)
    await failure(() => Flow.load(path, { trace: 'often' as never }), 'INVALID_OPTION')
    await failure(() => Flow.load(path, { shape: [0] }), 'INVALID_OPTION')
    await failure(() => Flow.load(path, { device: 'abacus' as never }), 'DEVICE_UNUSABLE')
    await failure(() => Flow.load(path, { memory: 1 }), 'OUT_OF_MEMORY')
  })
})
