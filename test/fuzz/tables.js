const { existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { spoilBytes } = require('./bytes.js')

/** Tables of every format with bytes changed, read in every way. */
module.exports = async function tables(ffjord, folder) {
  const { fromFile, splitFile, streamFile } = ffjord
  const rows = Array.from({ length: 60 }, (_, i) => [i % 7, Math.sin(i), i % 3])
  const bases = [
    { name: 'a.csv', bytes: text(rows, ',') },
    { name: 'b.tsv', bytes: text(rows, '\t') },
    {
      name: 'c.csv',
      bytes: Buffer.from(`name;"other, one"\r\n${rows.map(([a]) => `"x ""${a}""";${a}`).join('\r\n')}`)
    },
    { name: 'd.npy', bytes: npy(rows) },
    { name: 'e.npz', bytes: zip('rows.npy', npy(rows)) },
    { name: 'f.parquet', bytes: await parquet(rows, join(folder, 'base.parquet')) },
    { name: 'g.arrow', bytes: arrow(rows) },
    { name: 'h.h5', bytes: await hdf5(rows, join(folder, 'base.h5')) },
    { name: 'i.csv', bytes: Buffer.from(text(rows, '\t').toString(), 'utf16le') },
    { name: 'j.txt', bytes: Buffer.from(`# a b c\r${rows.map((row) => row.join(' ')).join('\r')}`) },
    {
      name: 'k.csv',
      bytes: Buffer.from(text(rows, ';').toString().replaceAll('.', ',')),
      options: { decimal: ',', thousands: '.', missingCells: ['', '-'] }
    },
    // What other programs wrote, of every type.
    ...[
      ['types.parquet', 2, { invalid: 'drop', columns: ['float16', 'decimal38', 'stamp_us', 'uint32'] }],
      ['types-lz4.arrow', 2, { invalid: 'drop', columns: ['float16', 'decimal38', 'stamp_us', 'level'] }],
      ['types-zstd.arrows', 2, { invalid: 'drop', columns: ['float16', 'text_view', 'decimal64'] }],
      ['records.npy', 2, { columns: ['a', 'b', 'place.x', 'pair[1]'] }],
      ['types.h5', 2, { key: 'records', columns: ['a', 'b', 'pair[1]'] }],
      ['types.h5', 2, { key: 'text', invalid: 'drop', columns: ['x2'] }],
      ['pandas.h5', 3, { key: 'in/table', columns: ['a', 'n', 'ok'] }],
      ['pandas.h5', 3, { key: 'fixed', columns: ['a', 'n', 'ok'] }]
    ].map(([name, count, options]) => ({
      name,
      count,
      options,
      bytes: readFileSync(join(__dirname, '../tables', name))
    }))
  ]
  for (const { name, bytes, options, count = rows.length } of bases) {
    writeFileSync(join(folder, name), bytes)
    const set = await fromFile(join(folder, name), { categorical: 'one-hot', ...options })
    if (set.rows !== count) throw new Error(`${name} has ${set.rows} rows, and ${count} were written`)
  }

  return async (random, tell) => {
    const { name, bytes, options: reading } = random.one(bases)
    const path = join(folder, `spoiled-${name}`)
    writeFileSync(path, spoilBytes(bytes, random))
    const options = {
      ...(random.chance(0.5) && { invalid: 'drop' }),
      ...(random.chance(0.5) && { categorical: 'one-hot' }),
      ...(random.chance(0.3) && { dequantize: true }),
      ...(random.chance(0.3) && { checkColumns: true }),
      ...(random.chance(0.2) && { precision: 'float64' }),
      timeout: 5,
      ...reading
    }
    const way = random.one(['whole', 'whole', 'stream', 'split'])
    tell(`${name}, ${way}, ${JSON.stringify(options)}`)
    try {
      if (way === 'whole') check(await fromFile(path, options))
      else if (way === 'stream') check(await (await streamFile(path, options)).take(20))
      else check((await splitFile(path, options)).seen)
    } finally {
      if (existsSync(path)) rmSync(path)
    }
  }
}

/** Rows that were accepted are numbers, as many as their shape says. */
function check({ rows, shape, data }) {
  const width = shape.reduce((product, size) => product * size, 1)
  if (!(rows > 0) || data.length !== rows * width)
    throw new Error(`${rows} rows of ${width} hold ${data.length}`)
  if (!data.every(Number.isFinite)) throw new Error('rows with numbers that are not finite were accepted')
}

function text(rows, delimiter) {
  return Buffer.from([['a', 'b', 'c'], ...rows].map((row) => row.join(delimiter)).join('\n'))
}

function npy(rows) {
  const data = Float64Array.from(rows.flat())
  const shape = `{'descr': '<f8', 'fortran_order': False, 'shape': (${rows.length}, ${rows[0].length}), }`
  const header = Buffer.from(`${shape.padEnd(117)}\n`)
  const head = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1')
  head.writeUInt16LE(header.length, 8)
  return Buffer.concat([head, header, Buffer.from(data.buffer)])
}

/** An archive of one file, stored as it is. */
function zip(name, content) {
  const common = Buffer.alloc(26)
  common.writeUInt16LE(20, 0)
  common.writeUInt32LE(checksum(content), 10)
  common.writeUInt32LE(content.length, 14)
  common.writeUInt32LE(content.length, 18)
  common.writeUInt16LE(name.length, 22)
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), content])
  const entry = Buffer.concat([
    Buffer.from('PK\x01\x02\x14\x00'),
    common,
    Buffer.alloc(14),
    Buffer.from(name)
  ])
  const end = Buffer.alloc(18)
  end.writeUInt16LE(1, 4)
  end.writeUInt16LE(1, 6)
  end.writeUInt32LE(entry.length, 8)
  end.writeUInt32LE(local.length, 12)
  return Buffer.concat([local, entry, Buffer.from('PK\x05\x06'), end])
}

/** CRC-32. */
function checksum(bytes) {
  let sum = 0xffffffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0)
  }
  return ~sum >>> 0
}

async function parquet(rows, path) {
  const { parquetWriteFile } = await import('hyparquet-writer')
  const columnData = ['a', 'b', 'c'].map((name, c) => ({
    name,
    data: rows.map((row) => row[c]),
    type: 'DOUBLE'
  }))
  await parquetWriteFile({ filename: path, columnData })
  return readFileSync(path)
}

function arrow(rows) {
  const { tableFromArrays, tableToIPC } = require('apache-arrow')
  const columns = ['a', 'b', 'c'].map((name, c) => [name, Float64Array.from(rows, (row) => row[c])])
  return Buffer.from(tableToIPC(tableFromArrays(Object.fromEntries(columns)), 'file'))
}

async function hdf5(rows, path) {
  const { default: h5wasm, File, ready } = await import('h5wasm/node')
  await (h5wasm?.ready ?? ready)
  const file = new (File ?? h5wasm.File)(path, 'w')
  file.create_dataset({
    name: 'rows',
    data: Float64Array.from(rows.flat()),
    shape: [rows.length, rows[0].length]
  })
  file.close()
  return readFileSync(path)
}
