import type { Fit, IterationRecord, StopReason, VaeIteration } from '../index'
import { isFfjordError } from '../native/errors'
import { Interrupted } from './exit'
import { note, type ProgressLine } from './progress'
import type { RunDirectory } from './run-directory'

/** A fit that leaves its metrics and checkpoints in the folder of a run. */

/** Errors of a call that could never train. */
const refusals: readonly string[] = [
  'UNSUPPORTED',
  'CONTRADICTORY_OPTIONS',
  'INVALID_OPTION',
  'INVALID_SHAPE'
]

interface Followed<P> {
  directory: RunDirectory
  line: ProgressLine
  /** The time between two checkpoints, in ms. */
  interval: number
  /** Whether the run has a checkpoint to go on from. */
  resumes: boolean
  /** Writes the model. */
  save(): Promise<void>
  tell(progress: P): void
}

/**
 * What the fit comes to. Metrics go to the folder as they come, the model every few seconds, at the end, and where the run is interrupted or
 * fails. A run that the folder holds gives way to the first model; a fit that is interrupted or fails before has cost nothing.
 */
export async function follow<
  P extends { records: readonly (IterationRecord | VaeIteration)[]; validation?: number },
  R extends { iterations: number; stopped: StopReason }
>(fit: Fit<P, R>, { directory, line, interval, resumes, save: write, tell }: Followed<P>): Promise<R> {
  const save = async () => {
    if (!directory.writes) return
    await write()
    directory.replace()
  }
  let saved = performance.now()
  let begun = resumes
  try {
    for await (const progress of fit) {
      begun = true
      directory.writeMetrics(progress.records, progress.validation)
      tell(progress)
      if (performance.now() - saved > interval) {
        await save()
        saved = performance.now()
      }
    }
  } catch (error) {
    line.done()
    if (directory.holdsRunBefore) {
      keepRunBefore(directory)
      throw error
    }
    // A call for what cannot be trained leaves nothing behind.
    if (!begun && isFfjordError(error) && refusals.includes(error.code)) {
      directory.withdraw()
      throw error
    }
    const isSaved = await save().then(
      () => true,
      () => false
    )
    if (isSaved && directory.writes) note(`The state before the failure is in ${directory.model}`)
    else if (!isSaved) noteCheckpoint(directory)
    throw error
  }
  line.done()
  const result = await fit
  if (result.stopped === 'signal' && directory.holdsRunBefore) {
    directory.withdraw()
    throw new Interrupted(
      `Interrupted at iteration ${result.iterations}, before a checkpoint: ${directory.path} still holds the run of before`
    )
  }
  await whole(directory, save)
  return result
}

/** Saves the model; where that fails, the one before stays. */
export async function whole(directory: RunDirectory, save: () => Promise<void>): Promise<void> {
  try {
    await save()
  } catch (error) {
    noteCheckpoint(directory)
    throw error
  }
}

function noteCheckpoint(directory: RunDirectory): void {
  if (directory.holdsRunBefore) keepRunBefore(directory)
  else if (directory.holdsModel)
    note(`The last checkpoint, ${directory.model}, is whole; go on from it with --resume`)
}

function keepRunBefore(directory: RunDirectory): void {
  directory.withdraw()
  note(`${directory.path} still holds the run of before`)
}
