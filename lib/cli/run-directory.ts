import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { reading, writing } from '../file/file-errors'
import { discard, finish, replaceFile, unfinishedName } from '../file/whole-file'
import type { VaeIteration } from '../index'
import { isObject } from '../native/check'
import type { Regulariser } from '../native/regularisers'
import type { History } from '../report/report'
import type { IterationRecord } from '../training/progress'
import { WrongCall } from './exit'

/** One line of metrics.jsonl. */
type Metrics = IterationRecord & { validation?: number }

/** The folder of a training run, and what `train` leaves in it. */
export class RunDirectory {
  readonly model: string
  readonly report: string
  readonly #metrics: string
  readonly #options: string
  /** Where options and metrics are while the run of before is still there. */
  #aside: { options: string; metrics: string } | undefined
  #written = false
  #made = false

  /** Where many ranks train one model, one of them writes. */
  constructor(
    readonly path: string,
    readonly writes = true
  ) {
    this.model = join(path, 'model.safetensors')
    this.report = join(path, 'report.html')
    this.#metrics = join(path, 'metrics.jsonl')
    this.#options = join(path, 'options.json')
  }

  /** Whether a run was started here. */
  get holdsRun(): boolean {
    return this.holdsModel || existsSync(this.#options)
  }

  /** Whether a run has left a model here. */
  get holdsModel(): boolean {
    return existsSync(this.model)
  }

  /** Whether the folder is still that of the run of before, which the new one has not replaced yet. */
  get holdsRunBefore(): boolean {
    return this.#aside !== undefined
  }

  /** Notes the options of a new run for a resumption: beside those of a run that the folder holds, which stays until `replace`. */
  start(options: object): void {
    if (!this.writes) return
    this.#made = !existsSync(this.path)
    makeFolder(this.path)
    const text = `${JSON.stringify(options, null, 2)}\n`
    if (this.holdsRun) {
      const aside = { options: unfinishedName(this.#options), metrics: unfinishedName(this.#metrics) }
      writing(this.#options, () => writeFileSync(aside.options, text))
      this.#aside = aside
      return
    }
    writing(this.#metrics, () => rmSync(this.#metrics, { force: true }))
    replaceFile(this.#options, text)
  }

  /** Notes what a resumption changed, for the next one. */
  goOn(options: object): void {
    if (this.writes) replaceFile(this.#options, `${JSON.stringify(options, null, 2)}\n`)
  }

  /** Ends the run of before, whose model the new one's has replaced: its options and metrics follow. */
  replace(): void {
    if (!this.#aside) return
    const { options, metrics } = this.#aside
    finish(options, this.#options)
    if (existsSync(metrics)) finish(metrics, this.#metrics)
    else writing(this.#metrics, () => rmSync(this.#metrics, { force: true }))
    this.#aside = undefined
  }

  /** Takes back what `start` did, for a run that leaves no model; a folder or a run that was there before stays. */
  withdraw(): void {
    if (!this.writes) return
    if (this.#aside) {
      for (const file of Object.values(this.#aside)) discard(file)
      this.#aside = undefined
      return
    }
    if (this.holdsModel) return
    rmSync(this.#options, { force: true })
    if (this.#made && readdirSync(this.path).length === 0) rmdirSync(this.path)
  }

  readOptions(): Record<string, unknown> {
    if (!existsSync(this.#options)) {
      throw new WrongCall(
        `${this.path} holds no training to resume; leave out --resume, or name the folder of a run`
      )
    }
    const text = reading(this.#options, () => readFileSync(this.#options, 'utf8'))
    try {
      const options: unknown = JSON.parse(text)
      if (isObject(options)) return options
    } catch {
      // Told below.
    }
    throw new WrongCall(
      `${this.#options} holds no options of a run; start a new one in another folder, or with --overwrite`
    )
  }

  /** Appends; what an earlier run wrote from the first of these iterations on gives way. */
  writeMetrics(records: readonly (IterationRecord | VaeIteration)[], validation: number | undefined): void {
    if (records.length === 0 || !this.writes) return
    const lines: Pick<Metrics, 'iteration' | 'validation'>[] = records.map((record) => ({ ...record }))
    if (validation !== undefined) lines[lines.length - 1]!.validation = validation
    const file = this.#metricsFile
    if (!this.#written) {
      const kept = this.#readMetrics().filter((line) => line.iteration < lines[0]!.iteration)
      replaceFile(file, kept.map((line) => `${JSON.stringify(line)}\n`).join(''))
      this.#written = true
    }
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    writing(this.#metrics, () => appendFileSync(file, text))
  }

  get #metricsFile(): string {
    return this.#aside?.metrics ?? this.#metrics
  }

  #readMetrics(): Metrics[] {
    const file = this.#metricsFile
    if (!existsSync(file)) return []
    const lines = reading(this.#metrics, () => readFileSync(file, 'utf8')).split('\n')
    // The last line of a killed run may be cut short.
    return lines.flatMap((line) => {
      try {
        return [JSON.parse(line) as Metrics]
      } catch {
        return []
      }
    })
  }

  history(): History {
    const lines = this.#readMetrics()
    const column = (key: keyof Metrics) => columnOf(lines, key)
    const tracked = new Set(lines.flatMap((line) => Object.keys(line.regularisers ?? {}) as Regulariser[]))
    return {
      iteration: lines.map((line) => line.iteration),
      loss: column('negativeLogProb'),
      validation: column('validation'),
      evaluations: column('nfe'),
      backwardEvaluations: column('backwardNfe'),
      accepted: column('accepted'),
      rejected: column('rejected'),
      gradientNorm: column('gradientNorm'),
      learningRate: column('learningRate'),
      regularisers: [...tracked].map((name) => ({
        name,
        values: lines.map((line) => line.regularisers?.[name] ?? null)
      }))
    }
  }

  /** How far the training of an autoencoder has come. */
  vaeProgress(): { iterations: number; seconds: number; skipped: number } {
    const lines = this.#readMetrics() as unknown as VaeIteration[]
    return {
      iterations: lines.at(-1)?.iteration ?? 0,
      seconds: lines.reduce((sum, { seconds }) => sum + seconds, 0),
      skipped: lines.filter(({ skipped }) => skipped).length
    }
  }

  /** Of an autoencoder: −ELBO with its parts, as if β were 1 throughout. */
  vaeHistory(): History {
    const lines = this.#readMetrics() as unknown as (VaeIteration & { validation?: number })[]
    const column = (key: keyof (typeof lines)[number]) => columnOf(lines, key)
    const [reconstruction, kl] = [column('reconstruction'), column('kl')]
    // Posteriors without dynamics are solved by no evaluations, and none counts steps.
    const counted = (values: (number | null)[]) => values.map((value) => value || null)
    const unknown = lines.map(() => null)
    return {
      iteration: lines.map((line) => line.iteration),
      lossTitle: '−ELBO, nats per image',
      loss: reconstruction.map((value, i) => (value === null || kl[i] === null ? null : value + kl[i]!)),
      parts: [
        { name: 'reconstruction', values: reconstruction },
        { name: 'KL', values: kl }
      ],
      validation: column('validation'),
      evaluations: counted(column('nfe')),
      backwardEvaluations: counted(column('backwardNfe')),
      accepted: unknown,
      rejected: unknown,
      gradientNorm: column('gradientNorm'),
      learningRate: column('learningRate')
    }
  }
}

/** A number of every line; null where its iteration was skipped, or lacks it. */
function columnOf<L extends { skipped: boolean }>(lines: readonly L[], key: keyof L): (number | null)[] {
  return lines.map((line) => {
    const value = line[key]
    return line.skipped || typeof value !== 'number' ? null : value
  })
}

/** Makes a folder for results, with those above it. @throws FfjordError FILE_NOT_WRITABLE */
export function makeFolder(path: string): void {
  writing(path, () => {
    try {
      mkdirSync(path, { recursive: true })
    } catch (error) {
      // A recursive mkdir says that folders do not exist, whatever the reason was; one folder alone gives the system's reason.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && existsSync(dirname(path))) mkdirSync(path)
      throw error
    }
  })
}
