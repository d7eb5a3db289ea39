import { statSync } from 'node:fs'
import { type Device, type EvaluationOptions, Flow, type LoadOptions, type Solver } from '../index'
import { fixedStepMethods, isFixedStep } from '../native/methods'
import { describeTrace } from './architecture'
import { WrongCall } from './exit'
import type { DeviceChoice, EvaluationChoice } from './options'
import { RunDirectory } from './run-directory'

/** The option that names a model, for every command that takes one. */
export const MODEL = [
  '--model <file|folder>',
  'a model.safetensors, or the folder of the run that made it'
] as const

/** The model file that `--model` names. */
export function modelFile(path: string): string {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path
  const { model, holdsModel } = new RunDirectory(path)
  if (!holdsModel)
    throw new WrongCall(`${path} holds no model.safetensors; name the folder of a run, or a model file`)
  return model
}

/** The flow that `--model` names, solved as the options say and otherwise as it was trained. */
export async function openModel(
  path: string,
  choice: DeviceChoice & EvaluationChoice & { average?: boolean }
): Promise<Flow> {
  const { device, threads, solver: method, steps, average } = choice
  const options: LoadOptions = { device: device as Device, ...(threads !== undefined && { threads }) }
  if (isFixedStep(method)) {
    if (steps === undefined) throw new WrongCall(`--solver ${method} needs --steps`)
    options.solver = { method, steps }
  } else if (steps !== undefined) {
    throw new WrongCall(`--steps goes with --solver ${fixedStepMethods.join(', ')}`)
  } else if (method !== undefined) {
    options.solver = { method } as Solver
  }
  const flow = await Flow.load(modelFile(path), options)
  if (average) flow.setParameters(flow.average())
  return flow
}

/** Trace and tolerances of a call, where the options name them. */
export function evaluationOptions(
  choice: EvaluationChoice
): Pick<EvaluationOptions, 'trace' | 'rtol' | 'atol'> {
  const { rtol, atol } = choice
  const trace = describeTrace(choice)
  return {
    ...(trace !== undefined && { trace }),
    ...(rtol !== undefined && { rtol }),
    ...(atol !== undefined && { atol })
  }
}
