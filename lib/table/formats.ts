import { extname } from 'node:path'
import type { Reading } from '../data/reading'
import { fail, show } from '../native/check'
import { openArrow } from './arrow'
import { openDelimited } from './delimited'
import { openHdf5 } from './hdf5'
import { openNpz } from './npz'
import { openNumpy } from './numpy'
import { openParquet } from './parquet'
import type { TableSource } from './source'
import type { DelimitedOptions } from './text-dialect'

/** Files as tables, by the endings of their names. */

export interface OpenOptions extends DelimitedOptions, Pick<Reading, 'key'> {
  /** Seconds without progress after which reading of a Parquet, Arrow or HDF5 file is ended. Default: 60. */
  timeout?: number
}

/** `progress` is called now and then while rows are read. */
type Open = (path: string, options: OpenOptions, progress: () => void) => Promise<TableSource>

export interface Format {
  endings: string[]
  open: Open
  /** Its library may loop without end on a malformed file, so that it runs in a thread that can be ended. */
  thread?: boolean
}

/** One row a format: who opens files of these endings. */
const formats: Format[] = [
  { endings: ['.csv', '.tsv', '.tab', '.txt', '.dat', '.data'], open: openDelimited },
  { endings: ['.npy'], open: (path) => openNumpy(path) },
  { endings: ['.npz'], open: (path, { key }) => openNpz(path, key) },
  {
    endings: ['.parquet', '.pq'],
    open: (path, _options, progress) => openParquet(path, progress),
    thread: true
  },
  { endings: ['.h5', '.hdf5', '.hdf'], open: (path, { key }) => openHdf5(path, key), thread: true },
  { endings: ['.arrow', '.arrows', '.feather', '.ipc'], open: (path) => openArrow(path), thread: true }
]

export const tableEndings: readonly string[] = formats.flatMap(({ endings }) => endings)

/** Whether the ending of a name is that of a text table. */
export function isText(path: string): boolean {
  return formats[0]!.endings.includes(extname(path).toLowerCase())
}

/** What to do with tables of other kinds. */
const remedies: readonly { endings: readonly string[]; remedy: string }[] = [
  {
    endings: ['.gz', '.bz2', '.xz', '.zst', '.zip'],
    remedy: 'unpack it first, or pipe a CSV: zcat table.csv.gz | ffjord … --data -'
  },
  { endings: ['.xlsx', '.xls', '.ods'], remedy: 'save the sheet as CSV' },
  {
    endings: ['.json', '.jsonl', '.ndjson'],
    remedy: 'write it as CSV or Parquet; in a program, fromRows takes rows'
  },
  {
    endings: ['.sqlite', '.sqlite3', '.db'],
    remedy: "export a table: sqlite3 -header -csv FILE 'select * from NAME' > table.csv"
  },
  {
    endings: ['.mat', '.rds', '.rda', '.sav', '.dta', '.sas7bdat'],
    remedy: 'export the table as CSV or Parquet from the program that wrote it'
  }
]

const pickles = ['.pickle', '.pkl']

/** The line of Python that turns a pickled table of pandas into a file that is read here. */
export function unpickling(from: string, to: string): string {
  return `python3 -c "import pandas; pandas.read_pickle('${from}').rename(columns=str).to_parquet('${to}', index=False)"`
}

/** A file as a table, read within the calling thread. @throws FfjordError UNSUPPORTED_FILE, and what the format finds */
export async function openHere(
  path: string,
  options: OpenOptions,
  progress: () => void = () => undefined
): Promise<TableSource> {
  return formatOf(path).open(path, options, progress)
}

/** The format that the ending of a name tells. */
export function formatOf(path: string): Format {
  if (typeof path !== 'string') fail('INVALID_OPTION', `path is ${show(path)}; give a file's path`)
  const ending = extname(path).toLowerCase()
  const format = formats.find(({ endings }) => endings.includes(ending))
  if (format) return format
  if (pickles.includes(ending))
    return fail(
      'UNSUPPORTED_FILE',
      `${path} is a pickle, which only Python reads; turn a table in it into Parquet once: ` +
        unpickling(path, `${path.slice(0, -ending.length)}.parquet`)
    )
  const remedy = remedies.find(({ endings }) => endings.includes(ending))?.remedy
  if (remedy !== undefined)
    return fail('UNSUPPORTED_FILE', `${path} is of a kind that is not read; ${remedy}`)
  return fail(
    'UNSUPPORTED_FILE',
    `${path} is of no known kind; give a file that ends in ${tableEndings.join(', ')}`
  )
}
