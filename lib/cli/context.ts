import { existsSync } from 'node:fs'
import { written } from '../data/cell-type'
import { ImageDataset } from '../data/image-dataset'
import { classNames, LABEL } from '../data/labels'
import { orderedContext } from '../data/schema'
import { ArrayDataset, type Column, type Conditioning, type Dataset, type Flow, fromFile } from '../index'
import type { TensorLike } from '../native/batch'
import { numberReader } from '../table/read-cell'
import { WrongCall } from './exit'

/** How the commands find the context of a conditional flow. */

export function contextNames(text: string): string[] {
  return text.split(',').map((name) => name.trim())
}

/** `data` with columns of it as the context of the others. */
export function conditioned(data: Dataset, names: readonly string[] | undefined): Dataset {
  if (!names) return data
  if (!(data instanceof ArrayDataset || data instanceof ImageDataset))
    throw new WrongCall(`the context (${names.join(', ')}) lies in columns of a table, and --data is none`)
  return data.condition(names)
}

/** Names of the elements that a flow is conditioned on, as the model file keeps them: of a category, one a level. */
export function contextColumns(flow: Flow): readonly string[] | undefined {
  const { context } = flow.description
  return typeof context === 'object' ? context.columns : undefined
}

/** The context of the rows to train on, brought to mean 0 and deviation 1. */
export function describeContext(data: Dataset, gates: boolean | undefined): Conditioning | undefined {
  if (!(data instanceof ArrayDataset || data instanceof ImageDataset) || !data.context) return undefined
  const { size, columns } = data.context
  const values = data.contextData!
  const rows = values.length / size
  const mean = new Array<number>(size).fill(0)
  const square = new Array<number>(size).fill(0)
  values.forEach((value, i) => {
    mean[i % size]! += value / rows
  })
  values.forEach((value, i) => {
    square[i % size]! += (value - mean[i % size]!) ** 2 / rows
  })
  const scale = square.map((value) => Math.sqrt(value) || 1)
  return { size, gates: gates ?? false, mean, scale, ...(columns && { columns }) }
}

/** '1,2.5,red' for all samples, or a table with the columns of the context and one row a sample. */
export async function samplingContext(flow: Flow, text: string | undefined): Promise<TensorLike | undefined> {
  const size = flow.description.context === undefined ? 0 : (flow.description.context as Conditioning).size
  const elements = contextColumns(flow)
  const columns = elements && (orderedContext(flow.table, elements) ?? classColumn(elements))
  if (text === undefined) {
    if (size > 0)
      throw new WrongCall(
        `this model is conditional: give --context ${describe(columns, elements)}, or a table`
      )
    return undefined
  }
  if (!existsSync(text)) return oneForAll(text, columns)
  // Columns are taken as training met them: in any order, with others beside them, without unknown levels.
  const { file, reading } = flow.table ?? {}
  const known = { ...(file && { file }), ...(reading && { reading }) }
  const table = await fromFile(text, columns && { schema: { columns, ...known } })
  const { data, rows } = table
  const only = elements && table.columns && elements.length === table.columns.length
  if (columns || !elements || !table.columns || only) return { data, shape: [rows, data.length / rows] }
  return { data: table.condition(elements).contextData!, shape: [rows, elements.length] }
}

/** The classes that a flow of images was trained on. */
function classColumn(elements: readonly string[]): Column[] | undefined {
  const levels = classNames(elements)
  return levels && [{ name: LABEL, type: 'category', levels }]
}

function oneForAll(text: string, columns: readonly Column[] | undefined): TensorLike {
  const cells = contextValues(text, columns)
  if (columns && cells.length !== columns.length)
    throw new WrongCall(
      `--context ${text} has ${cells.length} values, and the model takes ${columns.length}: ${describe(columns, undefined)}`
    )
  const values = cells.flatMap((cell, i) => {
    const { name, levels } = columns?.[i] ?? { name: String(i + 1) }
    if (levels && !levels.includes(cell))
      throw new WrongCall(`--context ${text}: '${cell}' is no level of '${name}' (${levels.join(', ')})`)
    if (levels) return levels.map((level) => (level === cell ? 1 : 0))
    const number = columns
      ? numberReader(columns[i]!, written)(cell)
      : cell === ''
        ? Number.NaN
        : Number(cell)
    if (!Number.isFinite(number))
      throw new WrongCall(
        `--context ${text} is neither a file nor a list of numbers: '${cell}' is given for ${columns ? `'${name}'` : `number ${name}`}`
      )
    return [number]
  })
  return { data: Float64Array.from(values), shape: [1, values.length] }
}

/** Values in the order of the columns: of JSON, of name=value, which may hold commas, or of a list, which may be quoted. */
function contextValues(text: string, columns: readonly Column[] | undefined): string[] {
  const names = columns?.map(({ name }) => name) ?? []
  if (/^\s*[{[]/.test(text)) return jsonValues(text, names)
  if (names.length === 1 && columns![0]!.levels?.includes(text.trim())) return [text.trim()]
  const places = names
    .map((name) => ({ name, at: placeOf(text, name) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)
  if (places.length === 0)
    return [...text.matchAll(/\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|$)/g)]
      .slice(0, /(^|,)$/.test(text) ? undefined : -1)
      .map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain!.trim())
  const given = new Map(
    places.map(({ name, at }, i) => {
      const value = text.slice(at + name.length + 1, places[i + 1]?.at).replace(/,\s*$/, '')
      return [name, value.trim().replace(/^"(.*)"$/, '$1')]
    })
  )
  return named(text, names, (name) => given.get(name))
}

/** Where 'name=' begins a part of the text; −1 where it does not. */
function placeOf(text: string, name: string): number {
  for (let at = text.indexOf(`${name}=`); at >= 0; at = text.indexOf(`${name}=`, at + 1))
    if (/(^|,)\s*$/.test(text.slice(0, at))) return at
  return -1
}

function jsonValues(text: string, names: readonly string[]): string[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new WrongCall(`--context ${text} is no JSON (${(cause as Error).message})`)
  }
  if (Array.isArray(value)) return value.map(String)
  const given = new Map(Object.entries(value as object))
  for (const name of given.keys())
    if (!names.includes(name))
      throw new WrongCall(
        `--context ${text} names '${name}', and the model takes ${names.join(', ') || 'numbers'}`
      )
  return named(text, names, (name) => given.get(name))
}

function named(text: string, names: readonly string[], value: (name: string) => unknown): string[] {
  return names.map((name) => {
    const one = value(name)
    if (one === undefined)
      throw new WrongCall(`--context ${text} lacks '${name}'; the model takes ${names.join(', ')}`)
    return String(one)
  })
}

/** 'size,colour as values (colour: blue, red)' */
function describe(columns: readonly Column[] | undefined, elements: readonly string[] | undefined): string {
  if (!columns) return `${(elements ?? ['numbers']).join(',')} as numbers`
  const levels = columns.flatMap(({ name, levels }) => (levels ? [`${name}: ${levels.join(', ')}`] : []))
  const names = columns.map(({ name }) => name).join(',')
  return levels.length > 0 ? `${names} as values (${levels.join('; ')})` : `${names} as numbers`
}
