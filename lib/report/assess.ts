import { sizeOf } from '../batch'
import { type EvaluationErrors, errorsOf } from '../evaluate'
import { type Dataset, type EvaluateOptions, type Evaluation, type Flow, LawDataset } from '../index'

/** A flow on test data, and where the law of the data is known, how far it is from it. */
export interface Assessment extends Evaluation {
  /** Of the law of the data, nats: the lowest mean NLL. */
  entropy?: number
  /** KL(data ‖ flow), nats: mean log-ratio of the two densities over the test rows. */
  klGap?: { value: number; standardError: number }
}

const CHUNK = 4096

/** `rows` defaults to all of data that end, and to 10,000 of those that do not. */
export async function assess(flow: Flow, data: Dataset, options: EvaluateOptions = {}): Promise<Assessment> {
  const { rows: wanted = 10_000, batch = CHUNK, certify = 0, ...call } = options
  if (!(data instanceof LawDataset)) return flow.evaluate(data, options)
  // NLL and gap on the same rows: the noise of the rows cancels in the ratio.
  const [surprises, logRatios] = [new Float64Array(wanted), new Float64Array(wanted)]
  let nfe = 0
  let traces: string[] = []
  let errors: EvaluationErrors | undefined
  for (let first = 0; first < wanted; first += batch) {
    const part = data.sample(Math.min(batch, wanted - first))
    const truth = data.logDensity(part)
    const model = await flow.logProb(part, { ...call, rowOffset: call.seed === undefined ? 0 : first })
    const { nfe: evaluations, traces: used } = flow.statistics!
    if (certify > 0 && !errors) {
      const head = part.data.subarray(0, Math.min(certify, truth.length) * sizeOf(flow.shape))
      errors = errorsOf(await flow.logProb(head, { ...call, certify: true }))
    }
    nfe += (evaluations * truth.length) / wanted
    traces = used
    model.forEach((value, i) => {
      surprises[first + i] = -value
      logRatios[first + i] = truth[i]! - value
    })
  }
  const { value: nll, standardError } = mean(surprises)
  const bitsPerDim = (nll / 2 + Math.log(256)) / Math.LN2
  return {
    nll,
    standardError,
    rows: wanted,
    nfe,
    traces,
    bitsPerDim,
    ...(errors && { errors }),
    entropy: data.entropy,
    klGap: mean(logRatios)
  }
}

function mean(values: Float64Array): { value: number; standardError: number } {
  const value = values.reduce((sum, one) => sum + one, 0) / values.length
  const variance = values.reduce((sum, one) => sum + (one - value) ** 2, 0) / Math.max(1, values.length - 1)
  return { value, standardError: Math.sqrt(variance / values.length) }
}
