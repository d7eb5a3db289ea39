import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSafetensors, writeSafetensors } from 'ffjord'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-safetensors-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A file of this header and so many bytes. */
function write(header: unknown, body: Uint8Array | number, claimed?: bigint): string {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(claimed ?? BigInt(text.length))
  const path = join(folder, 'case.safetensors')
  writeFileSync(path, Buffer.concat([length, text, typeof body === 'number' ? Buffer.alloc(body) : body]))
  return path
}

const entry = (dtype: string, shape: unknown, begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end]
})

test('what is written is read again', async () => {
  const path = join(folder, 'a.safetensors')
  const tensors = new Map([
    ['a', { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ['scalar', { shape: [], data: Float64Array.of(Math.PI) }],
    ['empty', { shape: [0, 4], data: new Float32Array(0) }],
    ['count', { shape: [1], data: BigInt64Array.of(2n ** 60n) }]
  ])
  await writeSafetensors(path, { metadata: { format: 'pt', note: 'é "quoted"' }, tensors })
  const file = await readSafetensors(path)
  expect(file.metadata).toEqual({ format: 'pt', note: 'é "quoted"' })
  expect([...file.tensors]).toEqual([...tensors])
})

test('halves and brain floats become float32', async () => {
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x3555, 0x7c00)
  const brains = Uint16Array.of(0x3f80, 0xc040)
  const path = write(
    { half: entry('F16', [6], 0, 12), brain: entry('BF16', [2], 12, 16) },
    Buffer.concat([new Uint8Array(halves.buffer), new Uint8Array(brains.buffer)])
  )
  const { tensors } = await readSafetensors(path)
  expect([...(tensors.get('half')!.data as Float32Array)]).toEqual([
    1,
    -2,
    2 ** -24,
    65504,
    Math.fround(0.333251953125),
    Infinity
  ])
  expect([...(tensors.get('brain')!.data as Float32Array)]).toEqual([1, -3])
})

const four = { a: entry('F32', [4], 0, 16) }

test.each([
  ['a header longer than the file', four, 16, 10_000n],
  ['a huge header', four, 16, 2n ** 63n],
  ['a header that is no JSON', '{"a": ', 16, undefined],
  ['a header that is a list', '[]', 0, undefined],
  ['a truncated body', four, 12, undefined],
  ['bytes of no tensor', four, 20, undefined],
  ['overlapping tensors', { a: entry('F32', [4], 0, 16), b: entry('F32', [2], 8, 16) }, 16, undefined],
  ['a gap between tensors', { a: entry('F32', [1], 0, 4), b: entry('F32', [1], 8, 12) }, 12, undefined],
  ['a size that is not the shape’s', { a: entry('F32', [3], 0, 16) }, 16, undefined],
  ['a shape whose product overflows', { a: entry('F32', [2 ** 40, 2 ** 40], 0, 16) }, 16, undefined],
  ['a negative length', { a: entry('F32', [-4], 0, 16) }, 16, undefined],
  ['a fraction of an element', { a: entry('F32', [0.5], 0, 2) }, 2, undefined],
  ['offsets in the wrong order', { a: entry('F32', [4], 16, 0) }, 16, undefined],
  ['a dtype that holds no weights', { a: entry('BOOL', [4], 0, 4) }, 4, undefined],
  ['a dtype from the prototype', { a: entry('constructor', [4], 0, 4) }, 4, undefined],
  ['an entry that is no object', { a: 5 }, 0, undefined],
  ['metadata that are no strings', { __metadata__: { a: 1 }, ...four }, 16, undefined]
] as const)('%s is refused', async (_, header, body, claimed) => {
  const path = write(header, body, claimed)
  const { message } = await failure(() => readSafetensors(path), 'INVALID_FILE')
  expect(message).toContain(path)
})

test('files that are too short, missing or folders are refused', async () => {
  const path = join(folder, 'short')
  writeFileSync(path, 'abc')
  await failure(() => readSafetensors(path), 'INVALID_FILE')
  await failure(() => readSafetensors(join(folder, 'none')), 'FILE_NOT_FOUND')
  await failure(() => readSafetensors(folder), 'FILE_NOT_READABLE')
  await failure(() => readSafetensors(undefined as unknown as string), 'INVALID_OPTION')
})

test('a write that fails leaves the old file and nothing else', async () => {
  const own = mkdtempSync(join(folder, 'own-'))
  await failure(
    () => writeSafetensors(join(own, 'no/such'), { metadata: {}, tensors: new Map() }),
    'FILE_NOT_WRITABLE'
  )
  mkdirSync(join(own, 'taken'))
  await failure(
    () => writeSafetensors(join(own, 'taken'), { metadata: {}, tensors: new Map() }),
    'FILE_NOT_WRITABLE'
  )
  expect(readdirSync(own)).toEqual(['taken'])
})
