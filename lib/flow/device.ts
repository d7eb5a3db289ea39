import { binding } from '../native/binding'
import { fail, integer, show } from '../native/check'
import type { NativeDescription, NativeEngine } from '../native/interface'

export interface DeviceInfo {
  /** 'reference', 'cpu', 'cuda:0' … */
  name: string
  description: string
  usable: boolean
  /** Why it cannot be used, and what to do; empty where it can. */
  reason: string
  precision: 'float32' | 'float64'
  convolutions: boolean
}

/** A library that carries sums between processes (docs/distributed.md), opened where it is needed. */
export interface LibraryInfo {
  /**
   * 'Open MPI', 'MPICH', 'MPI ABI', or 'FFJORD_MPI' for the file that the environment names; 'NCCL', which is that of FFJORD_NCCL where the
   * environment has it.
   */
  name: string
  version: string
  path: string
  usable: boolean
  /** Why it does not open; empty where it does. */
  reason: string
}

/** Which of those libraries this machine has. */
export function libraryInfo(): LibraryInfo[] {
  return binding()
    .libraries()
    .map(({ name, version, path, unusable }) => ({
      name,
      version,
      path,
      usable: unusable === '',
      reason: unusable
    }))
}

/** The devices this package can compute on, and why one is unusable. */
export function deviceInfo(): DeviceInfo[] {
  return binding()
    .engines()
    .map(({ name, description, unusable, convolutions, float64 }) => ({
      name,
      description,
      usable: unusable === '',
      reason: unusable,
      precision: float64 ? 'float64' : 'float32',
      convolutions
    }))
}

export function needsConvolutions({ blocks }: NativeDescription): boolean {
  return blocks.some(
    (block) =>
      block.type === 'squeeze' ||
      block.type === 'split' ||
      (block.type === 'cnf' && block.net.strides.length > 0)
  )
}

/** The engine that `device` names for this flow. */
export function chooseEngine(device: unknown, description: NativeDescription): NativeEngine {
  const convolutions = needsConvolutions(description)
  return chooseAmong(device, {
    knows: (engine) => !convolutions || engine.convolutions,
    lacks: "has no convolutions yet; use device 'reference', or 'auto'",
    none: 'no device can compute this flow; see deviceInfo() for the reasons'
  })
}

/** The engine that `device` names for an autoencoder. */
export function chooseVaeEngine(device: unknown): NativeEngine {
  return chooseAmong(device, {
    knows: ({ autoencoders }) => autoencoders,
    lacks: "has no autoencoders yet; use device 'cpu', or 'auto'",
    none: 'no device here has autoencoders; see deviceInfo()'
  })
}

function chooseAmong(
  device: unknown,
  { knows, lacks, none }: { knows: (engine: NativeEngine) => boolean; lacks: string; none: string }
): NativeEngine {
  if (typeof device !== 'string') fail('INVALID_OPTION', `device is ${show(device)}; give 'auto' or 'cpu'`)
  const engines = binding().engines()
  const fits = (engine: NativeEngine) => engine.unusable === '' && knows(engine)
  if (device === 'auto') {
    // A GPU is asked for by name until its engine has been measured on one.
    const rank = ({ name }: NativeEngine) => (name === 'cpu' ? 0 : name === 'reference' ? 1 : 2)
    const best = engines.filter(fits).sort((a, b) => rank(a) - rank(b))[0]
    return best ?? fail('DEVICE_UNUSABLE', none)
  }
  const name = device === 'cuda' ? 'cuda:0' : device
  const engine = engines.find((one) => one.name === name)
  if (!engine) {
    const known = engines.map((one) => one.name).join(', ')
    return fail(
      'DEVICE_UNUSABLE',
      `device ${show(device)} does not exist here; use 'auto' or one of: ${known}`
    )
  }
  if (engine.unusable) fail('DEVICE_UNUSABLE', `device '${name}' cannot be used: ${engine.unusable}`)
  if (!knows(engine)) fail('UNSUPPORTED', `device '${name}' ${lacks}`)
  return engine
}

export function threadCount(threads: unknown): number {
  return threads === undefined ? 0 : integer(threads, 'threads', 1, 1024)
}
