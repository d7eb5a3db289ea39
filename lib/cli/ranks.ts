import { deviceInfo, Group } from '../index'
import { endedTogether } from '../training/group'
import { ToldElsewhere } from './exit'
import type { DeviceChoice } from './options'

/**
 * Runs a training with the ranks that a launcher started with this process, or alone. Rank 0 speaks and writes; an error that all ranks
 * have is told by it.
 */
export async function withRanks(job: (group: Group) => Promise<void>): Promise<void> {
  const group = await Group.join()
  try {
    await job(group)
  } catch (error) {
    if (group.rank > 0 && endedTogether(group)) throw new ToldElsewhere(error)
    throw error
  }
}

/** What a run tells of its ranks at its end; of a process alone nothing. */
export function ranksLine(group: Group | undefined): string[] {
  return group && group.size > 1 ? [`Ranks    ${group.size} by ${group.library}`] : []
}

/** Where a rank computes: on its share of the cores, and on the card of its number where it is not told which. */
export function placeOf<C extends DeviceChoice>(choice: C, group: Group | undefined): C {
  if (!group || group.size === 1) return choice
  const { localRank, threads } = group
  const cards = deviceInfo().filter(({ name, usable }) => usable && name.startsWith('cuda:')).length
  return {
    ...choice,
    threads: choice.threads ?? threads,
    ...(choice.device === 'cuda' && cards > 0 && { device: `cuda:${localRank % cards}` })
  }
}
