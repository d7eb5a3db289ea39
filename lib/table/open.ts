import { formatOf, type OpenOptions, openHere } from './formats'
import type { TableSource } from './source'
import { hasTableThread, openInThread } from './table-thread'

/** A file as a table, read in a thread where its format asks for one. @throws FfjordError UNSUPPORTED_FILE, and what the format finds */
export async function openTable(path: string, options: OpenOptions = {}): Promise<TableSource> {
  const format = formatOf(path)
  return format.thread && hasTableThread ? openInThread(path, options) : openHere(path, options)
}
