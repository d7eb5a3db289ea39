import { checkImageReading, type ImageReading } from '../data/picture-reading'
import { integer, number, object, text } from '../native/check'

/** Where the weights of a flow come from. `fit` notes it, and model files keep it. */
export interface Provenance {
  /** What the training rows are called, such as their file. */
  data?: string
  /** How images became numbers, where that was said; the command line reads others alike. */
  images?: ImageReading
  /** How many rows there were to train on; left out where they come without end. */
  rows?: number
  /** Iterations of training. */
  iterations?: number
  /** Mean −log p over the validation rows at the weights that were kept, nats. */
  validation?: number
  /** Mean −log p over rows that training did not see, nats, its standard error, and how many rows. */
  test?: { nll: number; standardError: number; rows: number }
  /** When it was trained last, as ISO 8601 writes it. */
  date?: string
  /** The version of this package that trained it. */
  version?: string
}

const texts = ['data', 'date', 'version'] as const
const counts = ['rows', 'iterations'] as const

/** The longest text that is kept. */
const MOST_LETTERS = 200

/** A copy. @throws FfjordError on anything that is no provenance */
export function checkProvenance(value: unknown): Provenance {
  const given = object(value, 'provenance', [...texts, ...counts, 'validation', 'test', 'images'])
  const checked: Provenance = {}
  for (const key of texts)
    if (given[key] !== undefined)
      checked[key] = text(given[key], `provenance.${key}`, 'text').slice(0, MOST_LETTERS)
  for (const key of counts)
    if (given[key] !== undefined) checked[key] = integer(given[key], `provenance.${key}`)
  if (given.validation !== undefined) checked.validation = number(given.validation, 'provenance.validation')
  if (given.images !== undefined) checked.images = checkImageReading(given.images, 'provenance.images')
  if (given.test !== undefined) {
    const test = object(given.test, 'provenance.test', ['nll', 'standardError', 'rows'])
    checked.test = {
      nll: number(test.nll, 'provenance.test.nll'),
      standardError: number(test.standardError, 'provenance.test.standardError', { least: 0 }),
      rows: integer(test.rows, 'provenance.test.rows')
    }
  }
  return checked
}
