import { readAmat } from '../image/amat'
import { damaged, findFile, neededFile } from '../image/file-bytes'
import { type MatVariable, readMat5 } from '../image/mat5'
import { readPickledArrays } from '../image/pickled-arrays'
import { RandomState } from './mt19937'
import { labelled, type Pictures, picked, type SetReader, transposed } from './pictures'

/**
 * The sets of Sylvester flows (van den Berg, Hasenclever, Tomczak and Welling 2018) and of FFJORD's autoencoder, read, split and
 * binarised as their programs do.
 */

const SIDE = 28
const SHAPE = [1, SIDE, SIDE] as const
const SIZE = SIDE * SIDE

/** MNIST in zeros and ones that were drawn once (Salakhutdinov and Murray 2008; Larochelle's files). */
export const staticMnist: SetReader = {
  rows: { train: 50_000, validation: 10_000, test: 10_000 },
  shape: SHAPE,
  law: 'none',
  async read(folder) {
    const part = async (name: string): Promise<Pictures> => {
      const file = neededFile(
        folder,
        [`binarized_mnist_${name}.amat`],
        'of the static binarised MNIST of H. Larochelle'
      )
      const digits = await readAmat(file, SIZE)
      return { levels: digits.map((digit) => 255 * digit), shape: SHAPE, isDrawn: true }
    }
    return { train: await part('train'), validation: await part('valid'), test: await part('test') }
  }
}

/** Silhouettes of Caltech 101 (Marlin, Swersky, Chen and de Freitas 2010), black on white, which the programs turn over. */
export const caltech: SetReader = {
  rows: { train: 4100, validation: 2264, test: 2307 },
  shape: SHAPE,
  law: 'none',
  async read(folder) {
    const path = neededFile(
      folder,
      ['caltech101_silhouettes_28_split1.mat'],
      'published as people.cs.umass.edu/~marlin/data.shtml'
    )
    const variables = await readMat5(path)
    const names = variables.get('classnames')
    const part = (name: string): Pictures => {
      const values = matrix(path, variables, `${name}_data`, SIZE, 1)
      const labels = variables.get(`${name}_labels`)
      const rows = values.shape[0]!
      const levels = byRows(values, (value) => (value === 0 ? 255 : 0))
      const outside = values.data.findIndex((value) => value !== 0 && value !== 1)
      if (outside >= 0)
        damaged(
          path,
          `holds ${values.data[outside]} in image ${outside % rows} of ${name}_data, where zeros and ones are`
        )
      return {
        levels: transposed(levels, SIDE, SIDE),
        shape: SHAPE,
        isDrawn: true,
        ...(typeof labels === 'object' &&
          'data' in labels &&
          Array.isArray(names) && { labels: labelled(path, labels.data, names.map(String), rows, 1) })
      }
    }
    return { train: part('train'), validation: part('val'), test: part('test') }
  }
}

/** Handwritten characters in grey levels, of the program of Burda, Grosse and Salakhutdinov (2015). */
export const omniglot: SetReader = {
  rows: { train: 23_000, validation: 1345, test: 8070 },
  shape: SHAPE,
  law: 'bernoulli',
  async read(folder, { isBinarized, split }) {
    const path = neededFile(
      folder,
      ['chardata.mat'],
      'published as github.com/yburda/iwae, datasets/OMNIGLOT'
    )
    const variables = await readMat5(path)
    const known = shares(path, matrix(path, variables, 'data', SIZE, 0), 'data')
    const test = shares(path, matrix(path, variables, 'testdata', SIZE, 0), 'testdata')
    const rows = known.length / SIZE
    const held = omniglot.rows.validation!
    if (rows <= held) damaged(path, `has ${rows} images in data, of which ${held} are to validate on`)
    const order = new RandomState(split).shuffled(rows)
    const all = { levels: levelsOf(known), shape: SHAPE }
    const chosen = order.subarray(rows - held)
    const train = picked(all, order.subarray(0, rows - held))
    const remark = inexact([known, test])
      ? 'omniglot here has grey values between the 256 levels, to which the images to train on are rounded'
      : undefined
    const said = remark === undefined ? {} : { remark }
    if (!isBinarized)
      return {
        train,
        validation: picked(all, chosen),
        test: { levels: levelsOf(test), shape: SHAPE },
        ...said
      }
    // The programs draw these two once, one after the other.
    const random = new RandomState(777)
    const draw = (values: Float32Array): Pictures => ({
      levels: Uint8Array.from(values, (p) => 255 * random.bernoulli(p)),
      shape: SHAPE,
      isDrawn: true
    })
    const validation = new Float32Array(held * SIZE)
    chosen.forEach((row, i) => {
      validation.set(known.subarray(row * SIZE, (row + 1) * SIZE), i * SIZE)
    })
    return { train, validation: draw(validation), test: draw(test), ...said }
  }
}

/** 1965 pictures of Brendan Frey's face, in the order of a film, shuffled before they are split. */
export const freyFaces: SetReader = {
  rows: { train: 1565, validation: 200, test: 200 },
  shape: [1, 28, 20],
  law: 'uniform',
  async read(folder, { split }) {
    const { path, levels } = await faces(folder)
    const size = 28 * 20
    const rows = levels.length / size
    const held = 200
    if (rows <= 2 * held)
      damaged(path, `has ${rows} images, of which ${held} are to validate and ${held} to test on`)
    const order = new RandomState(split).shuffled(rows)
    const all: Pictures = { levels, shape: [1, 28, 20] }
    const cut = (first: number, last: number) => picked(all, order.subarray(first, last))
    return {
      train: cut(0, rows - 2 * held),
      validation: cut(rows - 2 * held, rows - held),
      test: cut(rows - held, rows)
    }
  }
}

/** The pickle of the programs, or the file of MATLAB that it was made of. */
async function faces(folder: string): Promise<{ path: string; levels: Uint8Array }> {
  const mat = findFile(folder, ['frey_rawface.mat'])
  const size = 28 * 20
  if (mat && !findFile(folder, ['freyfaces.pkl'])) {
    const { data } = matrix(mat, await readMat5(mat), 'ff', size, 0)
    return { path: mat, levels: Uint8Array.from(data) }
  }
  const path = neededFile(
    folder,
    ['freyfaces.pkl'],
    'of the programs of Sylvester flows; frey_rawface.mat of S. Roweis will do'
  )
  const [array] = await readPickledArrays(path)
  const { shape, data } = array!
  if (shape.length !== 2 || shape[1] !== size)
    damaged(
      path,
      `holds an array of ${shape.join(' × ')}, and faces are N × ${size}`,
      'give the file as it is published'
    )
  return { path, levels: data }
}

/** The variable `name` of two dimensions, of which dimension `axis` is `size`. */
function matrix(
  path: string,
  variables: ReadonlyMap<string, unknown>,
  name: string,
  size: number,
  axis: 0 | 1
): MatVariable {
  const found = variables.get(name) as MatVariable | undefined
  const remedy = 'give the file as it is published'
  if (!found?.data)
    return damaged(path, `has no variable ${name}; it has ${[...variables.keys()].join(', ')}`, remedy)
  if (found.shape.length !== 2 || found.shape[axis] !== size)
    damaged(
      path,
      `has ${name} of ${found.shape.join(' × ')}, and ${axis === 0 ? `${size} × N` : `N × ${size}`} is needed`,
      remedy
    )
  return found
}

/** Numbers column after column as levels row after row. */
function byRows({ shape, data }: MatVariable, level: (value: number) => number): Uint8Array {
  const [rows, columns] = shape as [number, number]
  const levels = new Uint8Array(data.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      levels[row * columns + column] = level(data[column * rows + row]!)
  return levels
}

/** (784, N) column after column, images transposed, as the programs have them: probabilities in float32. */
function shares(path: string, { data }: MatVariable, name: string): Float32Array {
  const outside = data.findIndex((value) => !(value >= 0 && value <= 1))
  if (outside >= 0)
    damaged(
      path,
      `holds ${data[outside]} in image ${Math.floor(outside / SIZE)} of ${name}, and shares lie in [0, 1]`
    )
  const turned = new Float32Array(data.length)
  for (let image = 0; image < data.length; image += SIZE)
    for (let i = 0; i < SIZE; i++) turned[image + (i % SIDE) * SIDE + Math.floor(i / SIDE)] = data[image + i]!
  return turned
}

function levelsOf(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (value) => Math.round(255 * value))
}

function inexact(parts: readonly Float32Array[]): boolean {
  return parts.some((values) =>
    values.some((value) => Math.abs(255 * value - Math.round(255 * value)) > 1e-4)
  )
}
