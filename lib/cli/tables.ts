import { extname } from 'node:path'
import { WrongCall } from './exit'
import { note } from './progress'
import type { TableWriter } from './table-writer'
import { CsvWriter } from './write-csv'
import { NumpyWriter } from './write-numpy'
import { ParquetWriter } from './write-parquet'

/** How text tables write fractions; files with types know none. */
export type DecimalSign = '.' | ','

const writers: [endings: string[], open: (path: string, decimal?: DecimalSign) => TableWriter][] = [
  [['.csv'], (path, decimal) => new CsvWriter(path, ',', decimal)],
  [['.tsv'], (path, decimal) => new CsvWriter(path, '\t', decimal)],
  [['.npy'], (path) => new NumpyWriter(path)],
  [['.parquet'], (path) => new ParquetWriter(path)]
]

/** A writer by the ending of the name, '-' for CSV on stdout. Refuses a name that it could not write, before work starts. */
export function openWriter(path: string, decimal?: DecimalSign): TableWriter {
  if (path === '-') return new CsvWriter(path, ',', decimal)
  const ending = extname(path).toLowerCase()
  const open = writers.find(([endings]) => endings.includes(ending))?.[1]
  if (!open) {
    const known = writers.flatMap(([endings]) => endings).join(', ')
    throw new WrongCall(
      `--out ${path} is of no known kind; give a name that ends in ${known}, or - for CSV on stdout`
    )
  }
  return open(path, decimal)
}

/** Runs `work` on a writer; what it wrote appears as a whole, or not at all. */
export async function writing(
  path: string,
  work: (writer: TableWriter) => Promise<void>,
  decimal?: DecimalSign
): Promise<void> {
  const writer = openWriter(path, decimal)
  try {
    await work(writer)
    await writer.close()
    for (const sentence of writer.told ?? []) note(sentence)
  } catch (error) {
    await writer.abandon()
    throw error
  }
}
