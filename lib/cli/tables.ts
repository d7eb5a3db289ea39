import { extname } from 'node:path'
import { WrongCall } from './exit'
import type { TableWriter } from './table-writer'
import { CsvWriter } from './write-csv'
import { NumpyWriter } from './write-numpy'
import { ParquetWriter } from './write-parquet'

const writers: [endings: string[], open: (path: string) => TableWriter][] = [
  [['.csv'], (path) => new CsvWriter(path, ',')],
  [['.tsv'], (path) => new CsvWriter(path, '\t')],
  [['.npy'], (path) => new NumpyWriter(path)],
  [['.parquet'], (path) => new ParquetWriter(path)]
]

/** A writer by the ending of the name, '-' for CSV on stdout. Refuses a name that it could not write, before work starts. */
export function openWriter(path: string): TableWriter {
  if (path === '-') return new CsvWriter(path, ',')
  const ending = extname(path).toLowerCase()
  const open = writers.find(([endings]) => endings.includes(ending))?.[1]
  if (!open) {
    const known = writers.flatMap(([endings]) => endings).join(', ')
    throw new WrongCall(
      `--out ${path} is of no known kind; give a name that ends in ${known}, or - for CSV on stdout`
    )
  }
  return open(path)
}

/** Runs `work` on a writer; what it wrote appears as a whole, or not at all. */
export async function writing(path: string, work: (writer: TableWriter) => Promise<void>): Promise<void> {
  const writer = openWriter(path)
  try {
    await work(writer)
    await writer.close()
  } catch (error) {
    await writer.abandon()
    throw error
  }
}
