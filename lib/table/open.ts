import { extname } from 'node:path'
import { fail, show } from '../check'
import { openArrow } from './arrow'
import { type DelimitedOptions, openDelimited } from './delimited'
import { openHdf5 } from './hdf5'
import { openNpz } from './npz'
import { openNumpy } from './numpy'
import { openParquet } from './parquet'
import type { TableSource } from './source'

export interface OpenOptions extends DelimitedOptions {
  /** Which array of an .npz or HDF5 file. */
  key?: string
}

type Open = (path: string, options: OpenOptions) => Promise<TableSource>

/** One row a format: who opens files of these endings. */
const formats: [endings: string[], open: Open][] = [
  [['.csv', '.tsv', '.tab', '.txt'], openDelimited],
  [['.npy'], (path) => openNumpy(path)],
  [['.npz'], (path, { key }) => openNpz(path, key)],
  [['.parquet', '.pq'], (path) => openParquet(path)],
  [['.h5', '.hdf5', '.hdf'], (path, { key }) => openHdf5(path, key)],
  [['.arrow', '.arrows', '.feather', '.ipc'], (path) => openArrow(path)]
]

export const tableEndings: readonly string[] = formats.flatMap(([endings]) => endings)

const pickles = ['.pickle', '.pkl']

/** The line of Python that turns a pickled table of pandas into a file that is read here. */
export function unpickling(from: string, to: string): string {
  return `python3 -c "import pandas; pandas.read_pickle('${from}').rename(columns=str).to_parquet('${to}', index=False)"`
}

/** A file as a table, by the ending of its name. @throws FfjordError UNSUPPORTED_FILE, and what the format finds */
export async function openTable(path: string, options: OpenOptions = {}): Promise<TableSource> {
  if (typeof path !== 'string') fail('INVALID_OPTION', `path is ${show(path)}; give a file's path`)
  const ending = extname(path).toLowerCase()
  const open = formats.find(([endings]) => endings.includes(ending))?.[1]
  if (!open && pickles.includes(ending))
    return fail(
      'UNSUPPORTED_FILE',
      `${path} is a pickle, which only Python reads; turn a table in it into Parquet once: ` +
        unpickling(path, `${path.slice(0, -ending.length)}.parquet`)
    )
  if (!open)
    return fail(
      'UNSUPPORTED_FILE',
      `${path} is of no known kind; give a file that ends in ${tableEndings.join(', ')}`
    )
  return open(path, options)
}
