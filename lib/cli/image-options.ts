import { type Command, InvalidArgumentError } from 'commander'
import { type LevelNoise, levelNoises } from '../data/level-noise'
import type { ImageReading, PictureReading } from '../data/picture-reading'
import type { Flow } from '../index'
import { WrongCall } from './exit'
import { oneOf, positiveInteger } from './options'
import type { TableChoice } from './table-options'

/** How images are read; every command whose --data may name some takes these. */
export interface ImageChoice {
  resize?: [number, number]
  channels?: 1 | 3
  alpha?: 'white' | 'black'
  flip?: boolean
}

/** Readings that a command line may name, as a run keeps them, and what is for training alone. */
export interface ImagesRead extends ImageReading {
  flip?: boolean
  /** Of pictures in a folder, where nothing else is said; published sets have a size of their own. */
  trained?: PictureReading
}

/** `isTraining`: with what is for training alone, and without --dequantize, which tables have too. */
export function addImages(command: Command, isTraining = false): Command {
  addPictures(command, isTraining ? '' : ' (default: as in training)')
  if (isTraining) return command.option('--flip', 'turn half of the visits of an image left to right')
  return command.addOption(
    oneOf('--dequantize <noise>', 'of levels (default: as in training, else uniform)', levelNoises)
  )
}

/** How pictures of a folder become images of one size. */
export function addPictures(command: Command, like = ''): Command {
  return command
    .optionsGroup('Images:')
    .option('--resize <n|HxW>', `cut images:FOLDER around the middle, and average to this size${like}`, sides)
    .option('--channels <1|3>', `of images:FOLDER: 1 for grey, 3 for colours${like}`, channels)
    .addOption(oneOf('--alpha <ground>', `what shows through transparent pixels${like}`, ['white', 'black']))
}

/** '32' or '28x20', height first. */
function sides(text: string): [number, number] {
  const [, height, width = height] = /^(\d+)(?:[x×](\d+))?$/.exec(text) ?? []
  if (!height) throw new InvalidArgumentError('Give one side, as 32, or height and width, as 28x20.')
  return [positiveInteger(height), positiveInteger(width!)]
}

function channels(text: string): 1 | 3 {
  if (text !== '1' && text !== '3')
    throw new InvalidArgumentError('Give 1 for grey, or 3 for red, green and blue.')
  return text === '1' ? 1 : 3
}

/** What a training run says of its images; --dequantize names steps of columns where --data is a table. */
export function trainedImages(choice: ImageChoice & Pick<TableChoice, 'dequantize'>): ImagesRead {
  const { dequantize = true, flip } = choice
  const noise = dequantize === true ? undefined : noiseIn(dequantize)
  return { ...pictureReading(choice), ...(noise && { dequantize: noise }), ...(flip && { flip }) }
}

function noiseIn(dequantize: false | Record<string, number>): LevelNoise {
  const [name, ...more] = Object.keys(dequantize || {})
  const noise = levelNoises.find((one) => one === name)
  if (!noise || more.length > 0)
    throw new WrongCall(
      `a density of images takes noise between their levels; give --dequantize ${levelNoises.join(' or ')}`
    )
  return noise
}

/** How a trained flow meets images: as the options say, else as those that it was trained on. */
export function readAsTrained(flow: Flow, choice: ImageChoice & { dequantize?: unknown }): ImagesRead {
  const { dequantize: trainedNoise, ...trained } = flow.provenance?.images ?? {}
  const dequantize = typeof choice.dequantize === 'string' ? (choice.dequantize as LevelNoise) : trainedNoise
  return { ...pictureReading(choice), ...(dequantize && { dequantize }), trained }
}

function pictureReading({ resize, channels, alpha }: ImageChoice): ImagesRead {
  return { ...(resize && { resize }), ...(channels && { channels }), ...(alpha && { alpha }) }
}
