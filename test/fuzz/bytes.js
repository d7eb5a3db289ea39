const words = [
  '\0',
  '"',
  '\r\n',
  ',,,',
  'NaN',
  '1e999',
  '-0',
  '__proto__',
  'constructor',
  '\ufeff',
  '9'.repeat(400),
  '{',
  ']',
  'null'
]

/** A file with some bytes changed, cut off, doubled, moved, or words put in. */
function spoilBytes(given, random) {
  let bytes = Buffer.from(given)
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(bytes.length + 1)
    const rest = bytes.length - at
    switch (random.below(7)) {
      case 0:
        if (rest > 0) bytes[at] ^= 1 << random.below(8)
        break
      case 1:
        if (rest > 0) bytes[at] = random.one([0, 1, 127, 128, 255])
        break
      case 2:
        if (rest >= 4) bytes.writeUInt32LE(random.one([0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 16]), at)
        break
      case 3:
        bytes = bytes.subarray(0, at)
        break
      case 4: {
        const piece = bytes.subarray(at, at + random.below(64))
        bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)])
        break
      }
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.below(32))])
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(random.one(words)), bytes.subarray(at)])
    }
  }
  return bytes
}

module.exports = { spoilBytes }
