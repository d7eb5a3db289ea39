import { meanSurprise } from '../evaluation/evaluate'
import { type Dataset, type EvaluateOptions, type Evaluation, type Flow, LawDataset } from '../index'

/** A flow on test data, and where the law of the data is known, how far it is from it. */
export interface Assessment extends Evaluation {
  /** The entropy of the data's law, nats: the lowest mean NLL. */
  entropy?: number
  /** KL(data ‖ flow), nats: mean log-ratio of the two densities over the test rows. */
  klGap?: { value: number; standardError: number }
}

/** `rows` defaults to all of data that end, and to 10,000 of those that do not. */
export async function assess(flow: Flow, data: Dataset, options: EvaluateOptions = {}): Promise<Assessment> {
  if (!(data instanceof LawDataset)) return flow.evaluate(data, options)
  const { rows = 10_000, ...call } = options
  const sample = data.sample(rows)
  const evaluation = await flow.evaluate(sample, call)
  // NLL and gap on the same rows: the noise of the rows cancels in the ratio.
  const truth = data.logDensity(sample)
  const { nll, standardError } = meanSurprise(evaluation.logProb.map((value, i) => value - truth[i]!))
  return { ...evaluation, entropy: data.entropy, klGap: { value: nll, standardError } }
}
