import type { LabelProbabilities } from '../index'

/** What a class-conditional flow says of the classes of images, in words. */

/** Images whose probabilities are listed one by one. */
const LISTED = 10
/** A probability below which a class is not named. */
const NAMED = 0.01

/** For --json: the probabilities a row each. */
export function classification({ rows, names, probabilities, ...rest }: LabelProbabilities) {
  const table = Array.from({ length: rows }, (_, row) =>
    Array.from(probabilities.subarray(row * names.length, (row + 1) * names.length))
  )
  return { n: rows, names, ...rest, probabilities: table }
}

/** Accuracy and log loss, and the likeliest classes of the first images. */
export function classLines(found: LabelProbabilities): string[] {
  const { rows, names, accuracy, logLoss } = found
  const scores =
    accuracy === undefined || !logLoss
      ? []
      : [
          `Classes  ${(100 * accuracy).toFixed(1)} % right, log loss ${logLoss.value.toFixed(4)} ± ${logLoss.standardError.toFixed(4)} nats ` +
            `(${rows} images, ${names.length} classes; p(class | image) by Bayes' theorem)`
        ]
  const listed = likeliest(found, LISTED).map((text, row) => `  image ${row + 1}: ${text}`)
  return [...scores, ...listed]
}

/** 'cat 0.98, dog 0.02' of each of the first images. */
export function likeliest({ rows, names, probabilities }: LabelProbabilities, most: number): string[] {
  return Array.from({ length: Math.min(most, rows) }, (_, row) => {
    const own = names.map((name, label) => ({ name, share: probabilities[row * names.length + label]! }))
    own.sort((a, b) => b.share - a.share)
    const named = own.filter(({ share }, place) => place === 0 || share >= NAMED).slice(0, 3)
    return named.map(({ name, share }) => `${name} ${share.toFixed(3)}`).join(', ')
  })
}
