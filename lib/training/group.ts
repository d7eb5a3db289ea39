import { binding } from '../native/binding'
import { fail, number, object } from '../native/check'
import { translated, translatedSync } from '../native/errors'
import type { NativeGroup } from '../native/interface'
import { threadsOf } from './cores'

export interface GroupOptions {
  /** Seconds that one sum may wait for the other ranks, after which it rejects with code PEER_LOST. Default: 120. */
  deadline?: number
}

let joined: Promise<Group> | undefined

/** What this package's own modules ask of a group. */
export let insideOf: (group: Group) => Inside

/** By what it holds: `instanceof` asks a proxy, which may be revoked. */
export let isGroup: (value: unknown) => value is Group

interface Inside {
  readonly native: NativeGroup
  /** Whether a fit is under way, whose end on one rank alone is the end of all. */
  trains: boolean
  /** Whether the last fit ended before its time, on all ranks alike. */
  stopped: boolean
  /** Whether it was left. */
  left: boolean
}

/** Whether the work of all ranks has ended, by a failure or a stop that each knows of. */
export function endedTogether(group: Group): boolean {
  const { native, stopped } = insideOf(group)
  return native.ended() || stopped
}

/**
 * Processes that train one model together, one of them here: its rank among `size`. Started by `mpirun`, `mpiexec` or `srun`, they find each
 * other; a process of its own is a group of one. `fit(data, { group })` trains with all of them.
 */
export class Group {
  /** 0 to size − 1. Rank 0 writes. */
  readonly rank: number
  readonly size: number
  /** Among the ranks of this machine. */
  readonly localRank: number
  readonly localSize: number
  /** Threads for a flow of this rank: cores that ranks of a machine share are divided among them. */
  readonly threads: number
  readonly #inside: Inside

  static {
    insideOf = (group) => group.#inside
    isGroup = (value): value is Group => typeof value === 'object' && value !== null && #inside in value
  }

  /** Use Group.join(). */
  private constructor(native: NativeGroup, threads: number) {
    this.#inside = { native, trains: false, stopped: false, left: false }
    this.rank = native.rank
    this.size = native.size
    this.localRank = native.localRank
    this.localSize = native.localSize
    this.threads = threads
  }

  /** 'single' or 'mpi'; 'nccl' once gradients went from card to card. */
  get transport(): string {
    return this.#inside.native.transport
  }

  /**
   * The library that carries the bytes, and where it was found; once gradients of cards were summed also by which they were, or why not by
   * NCCL.
   */
  get library(): string {
    return this.#inside.native.library
  }

  /**
   * Joins the processes that were started with this one; the same group again where it did before. Rejects with code UNSUPPORTED where no library of
   * MPI opens (libraryInfo() and `ffjord info` say why), and with PEER_LOST where the library is not of the launcher's make.
   */
  static async join(options: GroupOptions = {}): Promise<Group> {
    const given = object(options, 'group options', ['deadline'])
    const deadline = number(given.deadline ?? 120, 'deadline', { least: 0, open: true })
    joined ??= Group.#open(deadline)
    try {
      return await joined
    } catch (error) {
      joined = undefined
      throw error
    }
  }

  static async #open(deadline: number): Promise<Group> {
    const native = translatedSync(() => new (binding().Group)(deadline))
    const group = new Group(native, await threadsOf(native))
    if (group.size > 1) process.once('exit', (code) => group.#end(code))
    return group
  }

  /**
   * Ends the membership, once all ranks do so; no fit of this group may follow. At the end of a process it happens by itself. Rejects with code
   * UNSUPPORTED while a fit is under way. A group of one has nothing to end, and trains on.
   */
  async leave(): Promise<void> {
    if (this.size === 1) return
    const inside = this.#inside
    if (inside.trains) fail('UNSUPPORTED', 'a fit of this group is under way; await it, and leave then')
    inside.left = true
    await translated(() => inside.native.finish())
    translatedSync(() => inside.native.leave())
  }

  /**
   * Where the process ends well, or by an error that all ranks have, it waits for them. Otherwise they would wait for it: the launcher ends them.
   */
  #end(code: number): void {
    const { native, trains } = this.#inside
    try {
      if (endedTogether(this) || (code === 0 && !trains)) native.leave()
      else native.abort(code & 255 || 1)
    } catch {
      // The others have gone on to something else.
      native.abort(code & 255 || 1)
    }
  }
}
