import type { BenchmarkName } from '../index'
import { imagePreset, imagePresetNames, isImagePreset } from './image-presets'
import type { Recipe } from './recipe'

/** What differs between the tabular benchmarks: Grathwohl et al. 2019, table 4 and appendix. */
interface Published {
  width: number
  activation: Recipe['activation']
  hiddenLayers: number
  /** Width of the hidden layers as a multiple of the columns. */
  multiple: number
  blocks: number
  batch: number
}

const published: Record<BenchmarkName, Published> = {
  power: { width: 6, activation: 'tanh', hiddenLayers: 3, multiple: 10, blocks: 5, batch: 10_000 },
  gas: { width: 8, activation: 'tanh', hiddenLayers: 3, multiple: 20, blocks: 5, batch: 1000 },
  hepmass: { width: 21, activation: 'softplus', hiddenLayers: 2, multiple: 10, blocks: 10, batch: 10_000 },
  miniboone: { width: 43, activation: 'softplus', hiddenLayers: 2, multiple: 20, blocks: 1, batch: 1000 },
  bsds300: { width: 63, activation: 'softplus', hiddenLayers: 3, multiple: 20, blocks: 2, batch: 10_000 }
}

export const presetNames = [...Object.keys(published), ...imagePresetNames]

/** The recipe of a preset. */
export function preset(name: string): Recipe {
  return isImagePreset(name) ? imagePreset(name) : tablePreset(name as BenchmarkName)
}

/**
 * The recipe of the paper: t concatenated at every layer, T = 1 (the published program never moved it),
 * tolerances 1e-6 and 1e-8, Adam at 1e-3, a tenth of that after every ten validations without improvement, and an end
 * after thirty. The trace is exact where that is cheap; the paper estimates it in training.
 */
function tablePreset(name: BenchmarkName): Recipe {
  const { width, activation, hiddenLayers, multiple, blocks, batch } = published[name]
  return {
    hidden: Array<number>(hiddenLayers).fill(multiple * width),
    layer: 'concat',
    activation,
    blocks,
    time: 1,
    trainTime: false,
    scale: 'none',
    trace: 'auto',
    solver: 'dopri5',
    gradient: 'checkpoint',
    rtol: 1e-6,
    atol: 1e-8,
    batch,
    iterations: 1_000_000,
    optimizer: 'adam',
    lr: 1e-3,
    schedule: 'plateau',
    decay: 0.1,
    patience: 10,
    validateEvery: 200,
    stopAfter: 30,
    keepBest: true
  }
}
