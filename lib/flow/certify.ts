import type { RealArray } from '../native/batch'

/** log p(x) of every row (B), and how far it may be from the true one, part by part; −Infinity has no errors. */
export interface CertifiedLogProb<A extends RealArray = Float32Array> {
  logProb: A
  /** Standard error over the probes of an estimated trace, at least eight on one trajectory; 0 of an exact trace. */
  probeError: A
  /**
   * |log p − log p at a hundredth of the tolerance| (or in twice the steps), same noise; and rounding: of the terms of log p,
   * and of half a unit in the last place of each number, in the type that it was given in and in that of the engine.
   */
  solverError: A
  /** max |x − inverse(forward(x))| over the numbers of a row, in their units. */
  roundTripError: A
}
