import { binding } from '../native/binding'
import { choice, fail, integer, isAttached, object } from '../native/check'
import { translatedSync } from '../native/errors'
import type { NativeVisitRule } from '../native/interface'

/** What a visit makes of an image's levels, bytes of 0 … 255; the core draws it (core/image_visit.h). */

export const dequantizations = ['uniform', 'truncated-normal', 'centre', 'none'] as const

/**
 * The number of a level b: 'uniform' (b + u) / 256 with u of U(0, 1), anew at every visit; 'truncated-normal' the same with u of a
 * normal around ½ with deviation 1/6, cut at 0 and 1; 'centre' (b + ½) / 256; 'none' b / 255.
 */
export type Dequantization = (typeof dequantizations)[number]

/** Images as bytes, and the rule by which they become rows. */
export interface VisitedImages {
  /** (rows, shape) */
  levels: Uint8Array
  rule: NativeVisitRule
}

export interface VisitSeed {
  /** Default: 0. */
  seed?: number
}

/** The rows at `indices`, as visit number `visit` reads them. */
export function visitedRows(
  { levels, rule }: VisitedImages,
  size: number,
  indices: Uint32Array,
  visit: number
): Float64Array {
  return translatedSync(() => binding().visit(levels, size, indices, visit, rule))
}

export function checkDequantization(value: unknown, name: string): Dequantization {
  return choice(value, name, dequantizations)
}

export function checkVisitSeed(options: VisitSeed | undefined): number {
  return integer(object(options ?? {}, 'options', ['seed']).seed ?? 0, 'seed')
}

/** A word of the counter that draws depend on. */
export function checkDraw(value: unknown): number {
  return integer(value, 'draw', 0, 2 ** 32 - 1)
}

/** Copies of images that are changed after they were handed over would be other images. */
export function checkLevels(levels: Uint8Array, length: number): void {
  if (levels.length !== length || !isAttached(levels))
    fail('INVALID_INPUT', 'the array of these images was transferred or resized; make the set of a copy')
}
