import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { fromFile, fromImage } from 'ffjord'
import { failure } from './failure'

const dist = resolve(__dirname, '..', 'dist')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-limits-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function write(name: string, ...parts: (string | Uint8Array)[]): string {
  const path = join(folder, name)
  writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part))))
  return path
}

const MiB = 2 ** 20

test('a text table without line breaks is refused once its first line is too long', async () => {
  const line = write('line.csv', 'a,b\n1,2\n', Buffer.alloc(70 * MiB, '1,'))
  const long = await failure(() => fromFile(line), 'INVALID_FILE')
  expect(long.message).toMatch(/line\.csv, line 3 takes more than 64 MiB: it holds no line breaks; repair it/)
  const quote = write('quote.csv', 'a,b\n1,"', Buffer.alloc(70 * MiB, 'x\n'))
  const open = await failure(() => fromFile(quote, { categorical: 'one-hot' }), 'INVALID_FILE')
  expect(open.message).toMatch(/quote\.csv, line 2 takes more than 64 MiB: a quote that opens there is never/)
  const head = write('head.csv', Buffer.alloc(3 * MiB, 'a,'), '\n1,2\n')
  const wide = await failure(() => fromFile(head), 'INVALID_FILE')
  expect(wide.message).toMatch(/head\.csv has 1572865 columns, and a table has 1 to 1000000/)
})

test('a whole number of four hundred digits is no finite one', async () => {
  const error = await failure(
    () => fromFile(write('digits.csv', `a,b\n1,2\n${'9'.repeat(400)},3\n`)),
    'INVALID_FILE'
  )
  expect(error.message).toMatch(/digits\.csv, line 3, column 1 \('a'\): '9+' is no finite number; correct it/)
})

test('quotes within cells open nothing, however large the file', async () => {
  const rows = 150_000
  const lines = Array.from({ length: rows }, (_, i) => `${i},${i === 10 ? '5"' : '"a,""b""\nc"'},${i % 7}`)
  const data = await fromFile(write('inch.csv', `a,b,c\n${lines.join('\n')}\n`), { columns: ['a', 'c'] })
  expect(data.rows).toBe(rows)
  for (let i = 0; i < rows; i += 997) expect([...data.data.subarray(2 * i, 2 * i + 2)]).toEqual([i, i % 7])
})

test('the time to read a table grows with its columns', async () => {
  const cells = (count: number, value: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => value(i))
  const n = 50_000
  const line = `${cells(n, (i) => `${i + 0.5}`).join(',')}\n`
  const path = write('wide.csv', `${cells(n, (i) => `c${i}`).join(',')}\n`, line.repeat(3))
  const began = process.cpuUsage()
  expect((await fromFile(path)).shape).toEqual([n])
  // A search for every column among all of them took eight seconds.
  expect(process.cpuUsage(began).user / 1e6).toBeLessThan(3)
})

/** A zip file of one entry, which claims to be `size` bytes long. */
function zip(name: string, data: Uint8Array, size = data.length): Buffer {
  const packed = deflateRawSync(data)
  const local = Buffer.alloc(30)
  local.writeUInt32LE(0x04034b50, 0)
  const common = (at: number, header: Buffer) => {
    header.writeUInt16LE(20, at)
    header.writeUInt16LE(8, at + 4)
    header.writeUInt32LE(packed.length, at + 14)
    header.writeUInt32LE(size, at + 18)
    header.writeUInt16LE(name.length, at + 22)
  }
  common(4, local)
  const central = Buffer.alloc(46)
  central.writeUInt32LE(0x02014b50, 0)
  central.writeUInt16LE(20, 4)
  common(6, central)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(1, 8)
  end.writeUInt16LE(1, 10)
  end.writeUInt32LE(46 + name.length, 12)
  end.writeUInt32LE(30 + name.length + packed.length, 16)
  return Buffer.concat([local, Buffer.from(name), packed, central, Buffer.from(name), end])
}

function npy(shape: string, body: Uint8Array, order = 'False'): Buffer {
  const header = `{'descr': '<f8', 'fortran_order': ${order}, 'shape': (${shape}), }`.padEnd(117)
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'), Buffer.from(`${header}\n`), body])
}

test('an array in a zip file is unpacked as it is read, in either order', async () => {
  const [rows, columns] = [200_000, 3]
  const row = Float64Array.from({ length: rows * columns }, (_, i) => i)
  const column = Float64Array.from(
    { length: rows * columns },
    (_, i) => (i % rows) * columns + Math.floor(i / rows)
  )
  for (const [name, values, order] of [
    ['c', row, 'False'],
    ['fortran', column, 'True']
  ] as const) {
    const bytes = npy(`${rows}, ${columns}`, new Uint8Array(values.buffer), order)
    const { data } = await fromFile(write(`${name}.npz`, zip('x.npy', bytes)))
    expect(data).toHaveLength(rows * columns)
    expect(data.every((value, i) => value === i)).toBe(true)
  }
})

test('an array that is not as large as its shape says takes no memory', async () => {
  const large = npy('1000, 1000', new Uint8Array(120 * MiB))
  const before = process.memoryUsage().rss
  const path = write('bomb.npz', zip('x.npy', large))
  const error = await failure(() => fromFile(path), 'INVALID_FILE')
  expect(error.message).toMatch(
    /bomb\.npz\[x\]: it holds 125829120 bytes of cells, and its shape \(1000,1000\)/
  )
  expect(process.memoryUsage().rss - before).toBeLessThan(90 * MiB)
  const liar = write('liar.npz', zip('x.npy', npy('1000, 1000', new Uint8Array(8e6)), 8e6 + 10))
  expect((await failure(() => fromFile(liar), 'INVALID_FILE')).message).toMatch(/liar\.npz/)
  const short = write('short.npz', zip('x.npy', npy('1000, 1000', new Uint8Array(7e6)), 8e6 + 128))
  await failure(() => fromFile(short), 'INVALID_FILE')
})

test('what is no file is refused', async () => {
  const socket = join(folder, 'socket.csv')
  const server = createServer().listen(socket)
  await new Promise((done) => server.once('listening', done))
  const paths: [string, RegExp][] = [
    [folder, /cannot be read: it is a folder; give a file, or a pipe/],
    ['/dev/zero', /\/dev\/zero cannot be read: it is a device/],
    [socket, /cannot be read: it is a socket/]
  ]
  for (const [path, expected] of paths)
    expect((await failure(() => fromFile(path), 'FILE_NOT_READABLE')).message).toMatch(expected)
  const picture = join(folder, 'folder.png')
  rmSync(picture, { force: true, recursive: true })
  spawnSync('mkdir', [picture])
  expect((await failure(() => fromImage(picture), 'FILE_NOT_READABLE')).message).toMatch(/it is a folder/)
  server.close()
})

describe('pipes are read as CSV', () => {
  /** What a program prints that reads `path` twice, as most commands do. */
  const reading = (path: string) => `
    const { fromFile, splitFile } = require(${JSON.stringify(dist)})
    const path = process.argv[1] ?? ${JSON.stringify(path)}
    fromFile(path)
      .then(async ({ data }) => console.log([...data].join(), (await splitFile(path)).trainRows > 0))
      .catch((error) => console.log(error.code, error.message))`
  const text = `a,b\n${'1,2\n3,4\n'.repeat(20)}`
  const expected = `${'1,2,3,4,'.repeat(20).slice(0, -1)} true\n`
  const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith('.ffjord-')).length

  test.each(['-', '/dev/stdin'])('standard input as %s', (path) => {
    const before = left()
    const { stdout } = spawnSync(process.execPath, ['-e', reading(path)], { input: text, encoding: 'utf8' })
    expect(stdout).toBe(expected)
    expect(left()).toBe(before)
  })

  test('what a shell passes, and a named pipe', () => {
    const rows = write('rows.csv', text)
    const bash = (command: string) =>
      spawnSync('bash', ['-c', command, process.execPath, reading('')], { encoding: 'utf8' }).stdout
    expect(bash(`"$0" -e "$1" <(cat '${rows}')`)).toBe(expected)
    const pipe = join(folder, 'named.csv')
    const once = `require(${JSON.stringify(dist)}).fromFile(${JSON.stringify(pipe)}).then(({ rows }) => console.log(rows))`
    expect(bash(`mkfifo '${pipe}' && { cat '${rows}' > '${pipe}' & "$0" -e '${once}'; }`)).toBe('40\n')
  })

  test('an error names the line', () => {
    const { stdout } = spawnSync(process.execPath, ['-e', reading('-')], {
      input: 'a\n1\nx\n',
      encoding: 'utf8'
    })
    expect(stdout).toMatch(/^INVALID_FILE .*standard-input\.csv, line 3, column 1 \('a'\): 'x' is no number/)
  })
})

test('a process with too many files open says so, in its threads too', async () => {
  const { parquetWriteBuffer } = await import('hyparquet-writer')
  const columnData = [{ name: 'a', data: Float64Array.of(1, 2, 3) }]
  const paths = [
    write('few.csv', 'a\n1\n'),
    write('few.parquet', new Uint8Array(parquetWriteBuffer({ columnData })))
  ]
  const code = `
    const { openSync } = require('fs')
    const { fromFile } = require(${JSON.stringify(dist)})
    const told = async (path) => console.log(await fromFile(path).then(({ rows }) => rows, (error) => error.code))
    const paths = ${JSON.stringify(paths)}
    ;(async () => {
      await told(paths[1])
      try { for (;;) openSync('/dev/null') } catch {}
      for (const path of paths) await told(path)
      process.exit()
    })()`
  const { stdout } = spawnSync('bash', ['-c', 'ulimit -n 60; "$0" -e "$1"', process.execPath, code], {
    encoding: 'utf8'
  })
  expect(stdout.trim().split('\n')).toEqual(['3', 'FILE_NOT_READABLE', 'FILE_NOT_READABLE'])
})
