import { types } from 'node:util'
import { fail, integer, isArray, isAttached, list, show, texts } from '../native/check'

/** What images are of: a class each. */
export interface Labels {
  /** (rows), places in `names`. */
  values: Uint16Array
  names: readonly string[]
}

/** The most classes: one number a class is a context. */
const MOST_CLASSES = 4096

export function checkLabels(values: unknown, names: unknown, rows: number): Labels {
  const given = types.isTypedArray(values) && isAttached(values) ? Array.from(values as Uint8Array) : values
  if (!isArray(given)) fail('INVALID_INPUT', 'labels is no list of classes; give one whole number an image')
  if (given.length !== rows)
    fail(
      'INVALID_SHAPE',
      `labels has ${given.length} entries, and there are ${rows} images; give one an image`
    )
  const numbers = list(given, 'labels', 'one class an image')
  const classes = names === undefined ? undefined : texts(names, 'labelNames', 'the names of the classes')
  const most = (classes?.length ?? MOST_CLASSES) - 1
  const found = Uint16Array.from(numbers, (value, row) => integer(value, `labels[${row}]`, 0, most))
  let largest = 0
  for (const value of found) largest = Math.max(largest, value)
  return { values: found, names: classes ?? Array.from({ length: largest + 1 }, (_, i) => String(i)) }
}

/** One number a class: 1 for the class of the image, else 0; (rows, classes). */
export function oneHot({ values, names }: Labels): Float32Array {
  const numbers = new Float32Array(values.length * names.length)
  values.forEach((value, row) => {
    numbers[row * names.length + value] = 1
  })
  return numbers
}

/** The context of `each` rows of every class, one class after the other, (classes · each, classes). */
export function eachClass(classes: number, each: number): { data: Float32Array; shape: number[] } {
  const values = Uint16Array.from({ length: classes * each }, (_, row) => Math.floor(row / each))
  const names = Array.from({ length: classes }, (_, label) => String(label))
  return { data: oneHot({ values, names }), shape: [classes * each, classes] }
}

/** Names of these numbers, as of a category's in a table. */
export function labelColumns({ names }: Labels): string[] {
  return names.map((name) => `${LABEL}=${name}`)
}

/** What the context is called that `condition` and `--context` take. */
export const LABEL = 'label'

/** Names of classes, of the names of their numbers; undefined where these are something else. */
export function classNames(columns: readonly string[] = []): string[] | undefined {
  const start = `${LABEL}=`
  return columns.length > 0 && columns.every((name) => name.startsWith(start))
    ? columns.map((name) => name.slice(start.length))
    : undefined
}

/** The labels as a context of `names`: of the classes in the order that a flow was trained on them. */
export function labelsBy(names: readonly string[], labels: Labels | undefined): Labels {
  const classes = classNames(names)
  if (!classes && !(names.length === 1 && names[0] === LABEL))
    fail('INVALID_OPTION', `images have no column '${names.join(', ')}' for a context; give '${LABEL}'`)
  if (!labels)
    return fail('INVALID_INPUT', 'these images have no labels to be conditioned on; give them labels')
  if (!classes) return labels
  const places = labels.names.map((name) => classes.indexOf(name))
  const values = labels.values.map((label, row) => {
    const place = places[label]!
    if (place < 0)
      fail(
        'INVALID_INPUT',
        `image ${row} is of class ${show(labels.names[label])}, which the flow does not know; it knows ${classes.join(', ')}`
      )
    return place
  })
  return { values, names: classes }
}
