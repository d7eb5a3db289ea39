// One table loaded and standardised in a process of its own, for bench/loading.ts: prints what it took as JSON.
import { fromFile, tableBlocks } from 'ffjord'
import { resident, residentPeak } from './resident'

async function main(): Promise<void> {
  const [path, key] = process.argv.slice(2)
  const before = resident()
  const [started, used] = [performance.now(), process.cpuUsage()]
  const data = await fromFile(path!, key ? { key } : {})
  tableBlocks(data.schema.columns, data.data, 'standardize')
  const { user, system } = process.cpuUsage(used)
  console.log(
    JSON.stringify({
      rows: data.rows,
      seconds: (performance.now() - started) / 1000,
      cpuSeconds: (user + system) / 1e6,
      bytes: data.data.byteLength,
      peak: residentPeak() - before
    })
  )
}

void main()
