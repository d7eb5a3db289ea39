import { join } from 'node:path'
import { type Ended, launchers, missing, type Rank, start } from './ranks'

const { build } = require('./emulator/suite.js') as { build: string }

/** Every rank emulates a card of its own, and a stand-in for NCCL sums what lies in them (distributed/nccl.cc). */
const nccl = { FFJORD_NCCL: join(build, 'libnccl_stand_in.so') }

let alone: Promise<Ended> | undefined

describe.each(launchers)('$name', (launcher) => {
  const each = missing(launcher) ? test.skip : test

  /** Two ranks that did a job on cards, to the same weights, and nearly to those of one process. */
  async function trained(environment: Record<string, string>, job = 'cards') {
    alone ??= start(undefined, 1, ['cards', 'norm on cards'])
    const [one] = (await alone).ranks as [Rank]
    const { code, output, ranks } = await start(launcher, 2, [job], environment)
    expect({ code, output }).toMatchObject({ code: 0 })
    const [zero, other] = ranks.map(({ jobs }) => jobs[job]!)
    expect(other).toEqual(zero)
    expect(zero!.losses).toHaveLength(3)
    zero!.losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(one.jobs[job]!.losses[i]!, 4)
    })
    return zero!
  }

  each('gradients go from card to card by NCCL', async () => {
    const { transport, library } = await trained(nccl)
    expect(transport).toBe('nccl')
    expect(library).toContain('gradients of cards by NCCL 2.27.3')
  })

  each('and through the host where two ranks share a card, or there is no NCCL', async () => {
    const shared = await trained({ ...nccl, FFJORD_EMULATOR_PLACE: 'one for all' })
    expect(shared.transport).toBe('mpi')
    expect(shared.library).toContain('as ranks 0 and 1 share a card')
    const without = await trained({ FFJORD_NCCL: 'none' })
    expect(without.library).toContain("on rank 0 NCCL does not open: FFJORD_NCCL is 'none'")
    // The order of the tree does not depend on the way.
    expect(without.weights).toBe(shared.weights)
  })

  each('batch norm takes its moments of the rows of all ranks', async () => {
    await trained(nccl, 'norm on cards')
  })

  // The processes go on and note it; the first that ends by it ends the job.
  each.each([
    ['hangs', 'hang=1', 'waited for the others longer than 3 s'],
    ['fails', 'fail=1', 'ncclAllReduce of NCCL 2.27.3']
  ])('a sum that %s rejects', async (_, wrong, reason) => {
    const environment = { ...nccl, NCCL_STAND_IN: wrong, RANK_DEADLINE: '3' }
    const { code, ranks } = await start(launcher, 2, ['cards'], environment)
    expect(code).not.toBe(0)
    const { error } = ranks[1]!.jobs.cards!
    expect(error).toMatchObject({ code: 'PEER_LOST', message: expect.stringContaining(reason) })
  })
})
