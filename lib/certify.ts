import type { RealArray } from './batch'

/** log p(x) of every row (B), and how far it may be from the true one, part by part. */
export interface CertifiedLogProb<A extends RealArray = Float32Array> {
  logProb: A
  /** Standard error over the probes of an estimated trace, at least eight on one trajectory; 0 of an exact trace. */
  probeError: A
  /** |log p − log p at a hundredth of the tolerance| (or in twice the steps), same noise; and rounding. */
  solverError: A
  /** max |x − inverse(forward(x))| over the numbers of a row, in their units. */
  roundTripError: A
}
