import type { ModelCore } from '../flow/core'
import { fail, show } from '../native/check'
import { FfjordError, isError, isFfjordError, translated } from '../native/errors'
import type { NativeBuffer, NativeGroup } from '../native/interface'
import { fingerprint } from './fingerprint'
import { type Group, insideOf } from './group'

/**
 * What the loop of a fit asks of the ranks that train together; without others, what this process says holds. Every call is one of all ranks, which
 * all get the same answer.
 */
export class Ranks {
  readonly rank: number
  readonly size: number
  readonly #inside: ReturnType<typeof insideOf> | undefined

  constructor(group: Group | undefined) {
    this.rank = group?.rank ?? 0
    this.size = group?.size ?? 1
    if (!group || group.size === 1) return
    this.#inside = insideOf(group)
    if (this.#inside.left) fail('DISPOSED', 'this process has left the group; train before group.leave()')
  }

  /** Undefined where there are no others. */
  get native(): NativeGroup | undefined {
    return this.#inside?.native
  }

  /** Sums of two fits at once could not be told from each other. */
  enter(): void {
    if (!this.#inside) return
    if (this.#inside.trains)
      fail('UNSUPPORTED', 'a group trains one model at a time; await the fit that is under way')
    this.#inside.trains = true
    this.#inside.stopped = false
  }

  /** All are there, so that how the last fit ended says nothing of this one. */
  async meet(): Promise<void> {
    await this.any(false)
  }

  /** `left`: while the others go on, who stop with it. `stopped`: before its time, as all of them know. */
  async exit(left: boolean, stopped: boolean): Promise<void> {
    try {
      if (left) await this.any(true)
    } finally {
      if (this.#inside) Object.assign(this.#inside, { trains: false, stopped: left || stopped })
    }
  }

  /** Whether any of them says so. */
  async any(flag: boolean): Promise<boolean> {
    return (await this.#gather([flag ? 1 : 0])).some(([one]) => one === 1)
  }

  /** The least of their numbers. */
  async fewest(count: number): Promise<number> {
    return Math.min(...(await this.#gather([count])).map(([one]) => one!))
  }

  /** `rows` numbers of which each rank has computed those of its share. */
  async joined(rows: number, own: ArrayLike<number>): Promise<Float64Array> {
    const all = new Float64Array(rows)
    all.set(own, this.share(rows).first)
    return this.#sum(all)
  }

  /** Which of `rows` rows this rank computes. */
  share(rows: number): { first: number; rows: number } {
    const place = (rank: number) => Math.floor((rows * rank) / this.size)
    return { first: place(this.rank), rows: place(this.rank + 1) - place(this.rank) }
  }

  /** Refuses what is not the same on all ranks, plain data by their names. */
  async requireSame(given: Record<string, unknown>): Promise<void> {
    if (!this.#inside) return
    const names = Object.keys(given)
    const words = names.map((name) => fingerprint(JSON.stringify(given[name]) ?? ''))
    const all = await this.#gather(words)
    all.forEach((theirs, rank) => {
      const at = theirs.findIndex((word, i) => word !== all[0]![i])
      if (at < 0) return
      throw new FfjordError(
        'INVALID_OPTION',
        `ranks 0 and ${rank} differ in ${names[at]} (on rank ${this.rank}: ${JSON.stringify(given[names[at]!])}); give every rank the same`
      )
    })
  }

  /** All begin with the numbers of rank 0. */
  async begin(core: ModelCore, averages: boolean): Promise<void> {
    if (!this.#inside) return
    const buffers: NativeBuffer[] = ['parameters', 'statistics', 'firstMoment', 'secondMoment']
    if (averages) buffers.push('average')
    for (const buffer of buffers) {
      const values = core.native.read(buffer)
      if (values.length === 0) continue
      const { native } = this.#inside
      core.native.write(buffer, await translated(() => native.broadcast(Float64Array.from(values))))
    }
  }

  /** Throws an error of this rank, and lets the others know, which would wait for it. */
  async fail(error: unknown): Promise<never> {
    const native = this.#inside?.native
    if (native && !native.ended()) {
      const code = isFfjordError(error) ? error.code : 'INTERNAL'
      const message = isError(error) && typeof error.message === 'string' ? error.message : show(error)
      await native.fail(code, Buffer.from(message)).catch(() => undefined)
    }
    throw error
  }

  async #gather(own: readonly number[]): Promise<number[][]> {
    const { length } = own
    const all = new Float64Array(length * this.size)
    all.set(own, length * this.rank)
    const sum = await this.#sum(all)
    return Array.from({ length: this.size }, (_, rank) => [
      ...sum.subarray(length * rank, length * (rank + 1))
    ])
  }

  async #sum(values: Float64Array): Promise<Float64Array> {
    const native = this.#inside?.native
    return native ? translated(() => native.sum(values)) : values
  }
}
