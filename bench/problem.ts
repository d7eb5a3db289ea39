import type {
  NativeDescription,
  NativeFlow,
  NativeNoise,
  NativeOptimizer,
  NativeSettings
} from '../lib/native/interface'

/** A net and the numbers that every contestant starts from. */
export interface Problem {
  layer: 'concat' | 'concatsquash'
  activation: 'tanh' | 'softplus'
  dims: number[]
  endTime: number
  tensors: Tensor[]
  weights: Float32Array
}

export interface Tensor {
  layer: number
  /** Within its layer, by the name of the reference's state dict. */
  name: string
  shape: number[]
  offset: number
}

/** 2-64-64-64-2 with tanh over t: 0 → 1, weights 2.2 times PyTorch's initial ones: a flow that bends. */
export function toyProblem(layer: Problem['layer']): Problem {
  return makeProblem(layer, 'tanh', [2, 64, 64, 64, 2], 2.2)
}

/** 43-860-860-43 with softplus over t: 0 → 1, MINIBOONE's net. */
export function tabularProblem(): Problem {
  return makeProblem('concat', 'softplus', [43, 860, 860, 43], 1)
}

function makeProblem(
  layer: Problem['layer'],
  activation: Problem['activation'],
  dims: number[],
  gain: number
): Problem {
  const random = new Random(1)
  const tensors: Tensor[] = []
  const values: number[] = []
  const add = (depth: number, name: string, shape: number[], bound: number) => {
    tensors.push({ layer: depth, name, shape, offset: values.length })
    const size = shape.reduce((product, extent) => product * extent, 1)
    for (let i = 0; i < size; i++) values.push(bound * (2 * random.uniform() - 1))
  }
  for (const [depth, outputs] of dims.slice(1).entries()) {
    const inputs = dims[depth]! + (layer === 'concat' ? 1 : 0)
    const bound = 1 / Math.sqrt(inputs)
    add(depth, '_layer.weight', [outputs, inputs], gain * bound)
    add(depth, '_layer.bias', [outputs], bound)
    if (layer === 'concatsquash') {
      add(depth, '_hyper_bias.weight', [outputs, 1], 1)
      add(depth, '_hyper_gate.weight', [outputs, 1], 1)
      add(depth, '_hyper_gate.bias', [outputs], 1)
    }
  }
  return { layer, activation, dims, endTime: 1, tensors, weights: Float32Array.from(values) }
}

export function describe(problem: Problem): NativeDescription {
  const net = {
    hidden: problem.dims.slice(1, -1),
    layer: problem.layer,
    activation: problem.activation,
    residual: false,
    strides: [],
    parallel: 1,
    zeroLast: false,
    spectralNorm: 0
  }
  return {
    shape: [problem.dims[0]!],
    blocks: [{ type: 'cnf', time: problem.endTime, trainTime: false, net }]
  }
}

/** Gives `flow`, built from `describe(problem)`, the problem's weights. */
export function writeWeights(flow: NativeFlow, problem: Problem): void {
  const values = flow.read('parameters')
  for (const tensor of flow.parameters) {
    const known = problem.tensors.find(
      (candidate) => tensor.name === `chain.0.odefunc.diffeq.layers.${candidate.layer}.${candidate.name}`
    )
    if (known) values.set(problem.weights.subarray(known.offset, known.offset + tensor.size), tensor.offset)
    else if (tensor.role === 'end_time') values[tensor.offset] = Math.sqrt(problem.endTime)
    else throw new Error(`the problem has no tensor ${tensor.name}`)
  }
  flow.write('parameters', values)
}

/** The flow's gradient in the order of the problem's tensors. */
export function readGradient(flow: NativeFlow, problem: Problem): Float64Array {
  const gradients = flow.read('gradients')
  const ordered = new Float64Array(problem.weights.length)
  for (const tensor of problem.tensors) {
    const name = `chain.0.odefunc.diffeq.layers.${tensor.layer}.${tensor.name}`
    const found = flow.parameters.find((candidate) => candidate.name === name)!
    ordered.set(gradients.subarray(found.offset, found.offset + found.size), tensor.offset)
  }
  return ordered
}

/** Rows x and noise ε, standard normal, (B, D) each. */
export function drawRows(problem: Problem, batch: number): { x: Float32Array; noise: Float32Array } {
  const random = new Random(1000 + batch)
  const draw = () => Float32Array.from({ length: batch * problem.dims[0]! }, () => random.normal())
  return { x: draw(), noise: draw() }
}

/** One Gaussian probe, dopri5 with a step shared by the batch, discrete gradients: FFJORD's own setting. */
export function settings(tolerance: number): NativeSettings {
  return {
    trace: {
      mode: 'hutchinson',
      noise: 'gaussian',
      probes: 1,
      form: 'tangent',
      bottleneck: false,
      lattice: 0
    },
    solver: {
      method: 'dopri5',
      rtol: tolerance,
      atol: tolerance,
      steps: 0,
      control: 'batch',
      controller: 'pi',
      maxAttempts: 10000
    },
    gradient: { method: 'checkpoint', norm: 'seminorm' },
    regularize: {},
    steer: 0
  }
}

/** A step that moves nothing, so that every iteration is the same, and does all of Adam's work. */
export const adam: NativeOptimizer = {
  type: 'adam',
  learningRate: 0,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  momentum: 0,
  weightDecay: 0,
  clipNorm: 0,
  averageDecay: 0,
  step: 1
}

export function givenNoise(noise: Float32Array): NativeNoise {
  return { seed: 0, call: 0, rowOffset: 0, given: [noise] }
}

/** A small generator of its own (mulberry32), so that the inputs never change with the library. */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed
  }

  uniform(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform())
  }
}
