import { binding } from '../native/binding'
import { fail, integer, show } from '../native/check'
import type { NativeDescription, NativeEngine } from '../native/interface'
import type { Device } from './options'

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
export function chooseEngine(device: Device, description: NativeDescription): NativeEngine {
  const engines = binding().engines()
  const convolutions = needsConvolutions(description)
  const knows = (engine: NativeEngine) => !convolutions || engine.convolutions
  const fits = (engine: NativeEngine) => engine.unusable === '' && knows(engine)
  if (device === 'auto') {
    // A GPU is asked for by name until its engine has been measured on one.
    const rank = ({ name }: NativeEngine) => (name === 'cpu' ? 0 : name === 'reference' ? 1 : 2)
    const best = engines.filter(fits).sort((a, b) => rank(a) - rank(b))[0]
    return (
      best ?? fail('DEVICE_UNUSABLE', 'no device can compute this flow; see deviceInfo() for the reasons')
    )
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
  if (!knows(engine))
    fail('UNSUPPORTED', `device '${name}' has no convolutions yet; use device 'reference', or 'auto'`)
  return engine
}

export function threadCount(threads: unknown): number {
  return threads === undefined ? 0 : integer(threads, 'threads', 1, 1024)
}
