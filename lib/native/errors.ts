import { types } from 'node:util'
import type { NativeError } from './interface'

/** What kind of failure it was; the message says what to do about it. */
export type ErrorCode =
  | 'ADDON_NOT_LOADED'
  | 'UNKNOWN_OPTION'
  | 'INVALID_OPTION'
  | 'CONTRADICTORY_OPTIONS'
  | 'INVALID_SHAPE'
  | 'INVALID_INPUT'
  | 'EMPTY_BATCH'
  | 'MISSING_CONTEXT'
  | 'NOT_FINITE'
  | 'FILE_NOT_FOUND'
  | 'FILE_NOT_READABLE'
  | 'FILE_NOT_WRITABLE'
  | 'INVALID_FILE'
  | 'WRONG_MODEL'
  | 'UNSUPPORTED_FILE'
  | 'UNSUPPORTED'
  | 'DEVICE_UNUSABLE'
  | 'DISPOSED'
  | 'SOLVE_FAILED'
  | 'OUTSIDE_SUPPORT'
  | 'CANCELLED'
  | 'PEER_LOST'
  | 'OUT_OF_MEMORY'
  | 'INVALID_ARGUMENT'
  | 'INTERNAL'

/** Where a solve could not go on. */
export interface SolveFailure {
  /** Time within the block, and the last step tried. */
  t: number
  h: number
  /** Index in the flow's list of blocks. */
  block: number
  /** Rows of the batch that are not finite or far over tolerance; may be cut. */
  rows: number[]
}

/** Every error of this library: a `code` to act on, and a message that ends with what to do. */
export class FfjordError extends Error {
  override readonly name = 'FfjordError'
  readonly code: ErrorCode
  /** Present with code SOLVE_FAILED. */
  readonly failure?: SolveFailure
  /** Present with code OUTSIDE_SUPPORT: rows of the batch, or of the data set. */
  readonly rows?: number[]

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; failure?: SolveFailure; rows?: number[] } = {}
  ) {
    const given = isObject(options) ? options : {}
    super(
      typeof message === 'string' ? message : typeof message,
      'cause' in given ? { cause: given.cause } : undefined
    )
    this.code = code
    if (given.failure) this.failure = given.failure
    if (given.rows) this.rows = given.rows
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !types.isProxy(value)
}

/** Whether `error` is one of this library, be it of another realm or of a second copy of the package. */
export function isFfjordError(error: unknown): error is FfjordError {
  return (
    isError(error) && error.name === 'FfjordError' && typeof (error as { code?: unknown }).code === 'string'
  )
}

/** An Error of any realm. */
export function isError(error: unknown): error is Error {
  return types.isNativeError(error)
}

/** All codes of the binding's errors, as its errorCodes() lists them. */
export const nativeCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'INVALID_ARGUMENT',
  'UNSUPPORTED',
  'SOLVE_FAILED',
  'OUTSIDE_SUPPORT',
  'CANCELLED',
  'OUT_OF_MEMORY',
  'DISPOSED',
  'PEER_LOST',
  'INTERNAL'
])

/** An error of the binding as an FfjordError; others pass unchanged. */
export function translate(error: unknown): unknown {
  if (!isError(error) || isFfjordError(error)) return error
  const native: Partial<NativeError> = error
  if (typeof native.code !== 'string' || !nativeCodes.has(native.code)) return error
  const code = native.code as ErrorCode
  if (code === 'OUTSIDE_SUPPORT')
    return new FfjordError(code, error.message, { cause: error, rows: native.rows ?? [] })
  if (code !== 'SOLVE_FAILED') return new FfjordError(code, error.message, { cause: error })
  const failure = {
    t: native.t ?? Number.NaN,
    h: native.h ?? Number.NaN,
    block: native.block ?? -1,
    rows: native.rows ?? []
  }
  return new FfjordError(code, error.message, { cause: error, failure })
}

/** Runs a call into the binding and translates what it throws or rejects with. */
export async function translated<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw translate(error)
  }
}

export function translatedSync<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw translate(error)
  }
}
