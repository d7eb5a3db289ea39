import { existsSync } from 'node:fs'
import type { TensorLike } from '../batch'
import { ArrayDataset, type Conditioning, type Dataset, type Flow, fromFile } from '../index'
import { WrongCall } from './exit'

/** How the commands find the context of a conditional flow. */

export function contextNames(text: string): string[] {
  return text.split(',').map((name) => name.trim())
}

/** `data` with columns of it as the context of the others. */
export function conditioned(data: Dataset, names: readonly string[] | undefined): Dataset {
  if (!names) return data
  if (!(data instanceof ArrayDataset))
    throw new WrongCall('--context names columns of a table; --data is none')
  return data.condition(names)
}

/** Names of the columns that a flow is conditioned on, as the model file keeps them. */
export function contextColumns(flow: Flow): readonly string[] | undefined {
  const { context } = flow.description
  return typeof context === 'object' ? context.columns : undefined
}

/** The context of the rows to train on, brought to mean 0 and deviation 1. */
export function describeContext(data: Dataset, gates: boolean | undefined): Conditioning | undefined {
  if (!(data instanceof ArrayDataset) || !data.context) return undefined
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

/** '1,2.5' for all samples, or a table with the columns of the context and one row a sample. */
export async function samplingContext(flow: Flow, text: string | undefined): Promise<TensorLike | undefined> {
  const size = flow.description.context === undefined ? 0 : (flow.description.context as Conditioning).size
  if (text === undefined) {
    if (size > 0)
      throw new WrongCall(
        `this model is conditional: give --context ${(contextColumns(flow) ?? ['numbers']).join(',')} as numbers, or a table`
      )
    return undefined
  }
  if (!existsSync(text)) {
    const values = text.split(',').map(Number)
    if (values.some((value) => !Number.isFinite(value)))
      throw new WrongCall(`--context ${text} is neither a file nor a list of numbers`)
    return { data: Float64Array.from(values), shape: [1, values.length] }
  }
  const table = await fromFile(text)
  const names = contextColumns(flow)
  const only = names && table.columns && names.length === table.columns.length
  const { data, rows } = table
  if (!names || !table.columns || only) return { data, shape: [rows, data.length / rows] }
  const { contextData } = table.condition(names)
  return { data: contextData!, shape: [rows, names.length] }
}
