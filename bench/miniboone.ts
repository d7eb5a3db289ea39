// MINIBOONE without its whole training set: node build/bench/bench/miniboone.js FOLDER OUT writes train.npy,
// validation.npy and test.npy for `ffjord train`. FOLDER holds train_first1523.npy (the first official training rows),
// val.npy and test.npy, normalised as published. Training takes the former and 80 % of the validation rows; the rest of
// those decides when to stop; the test rows are the official ones.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fromFile } from 'ffjord'
import { NumpyWriter } from '../lib/cli/write-numpy'

const WIDTH = 43

async function main(): Promise<void> {
  const [folder, out] = process.argv.slice(2)
  if (!folder || !out) throw new Error('give the folder of the published parts, and one to write to')
  const read = async (name: string) => (await fromFile(join(folder, name))).data as Float32Array
  const [first, validation, test] = [
    await read('train_first1523.npy'),
    await read('val.npy'),
    await read('test.npy')
  ]
  const cut = Math.floor((0.8 * validation.length) / WIDTH) * WIDTH
  mkdirSync(out, { recursive: true })
  await write(join(out, 'train.npy'), Float32Array.from([...first, ...validation.subarray(0, cut)]))
  await write(join(out, 'validation.npy'), validation.subarray(cut))
  await write(join(out, 'test.npy'), test)
}

async function write(path: string, data: Float32Array): Promise<void> {
  const writer = new NumpyWriter(path)
  await writer.write(
    Array.from({ length: WIDTH }, (_, c) => ({
      name: `x${c + 1}`,
      values: Float32Array.from({ length: data.length / WIDTH }, (_, row) => data[row * WIDTH + c]!)
    }))
  )
  await writer.close()
}

main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
