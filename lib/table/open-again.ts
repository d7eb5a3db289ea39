import { modelColumns } from '../data/matching'
import { type Reading, readingOf } from '../data/reading'
import type { TableSchema } from '../data/schema'
import { isText, type OpenOptions } from './formats'
import { openTable } from './open'
import type { TableSource } from './source'
import { isPlainText } from './text-encoding'

/**
 * A file for a model, read as the training file was, where `given` says nothing else: numbers and gaps in its notation. Its layout
 * (separators, names, lines to pass over) holds unless the file shows all columns of the model by itself, as what `logprob` and
 * `sample` write does, and its encoding holds for bytes that are no UTF-8.
 */
export async function openAgain(
  path: string,
  given: OpenOptions,
  schema: TableSchema | undefined
): Promise<{ source: TableSource; open: OpenOptions }> {
  const { header, delimiter, skip, key, encoding, ...meaning } = schema?.reading ?? {}
  const isForeign = encoding !== undefined && isText(path) && !(await isPlainText(path))
  const open: OpenOptions = { ...meaning, ...(isForeign && { encoding }), ...given }
  const layout = readingOf({ header, delimiter, skip, key } as Reading)
  if (!schema || Object.keys(layout).length === 0) return { source: await openTable(path, open), open }
  const shown = await openTable(path, open).catch(() => undefined)
  const names = new Set(shown?.names)
  if (shown?.named && modelColumns(schema).every(({ name }) => names.has(name)))
    return { source: shown, open }
  const laidOut = { ...layout, ...open }
  try {
    return { source: await openTable(path, laidOut), open: laidOut }
  } catch (error) {
    if (shown) return { source: shown, open }
    throw error
  }
}
