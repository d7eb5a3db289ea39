import { spawn, spawnSync } from 'node:child_process'
import fs, { existsSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { Flow, Group, libraryInfo } from '../lib'
import { binding } from '../lib/native/binding'
import { threadsOf } from '../lib/training/cores'
import { failure } from './failure'
import { type Ended, folder, launchers, missing, type Rank, start, underWay } from './ranks'

const command = join(__dirname, '..', 'dist', 'cli', 'index.js')

/** Jobs in which several ranks come to the bits of one process. */
const sameBits = [
  'sample',
  'tile',
  'together',
  'estimate',
  'norm',
  'parts',
  'context',
  'matching',
  'coupled',
  'images'
]
/** Jobs in which they do but nearly so: each controls its own steps, or blocks divide the rows. */
const near = ['batch', 'blocks']
/** And of which two ranks do. */
const ownRows = ['sharded']

const everything = [...sameBits, ...near, ...ownRows]
let alone: Promise<Ended> | undefined

describe('a process of its own', () => {
  test('is a group of one, also in a batch script of Slurm', async () => {
    process.env.SLURM_NTASKS = '4'
    process.env.SLURM_PROCID = '0'
    try {
      const group = await Group.join()
      expect(group).toMatchObject({ rank: 0, size: 1, localRank: 0, localSize: 1, transport: 'single' })
      expect(group.threads).toBeGreaterThan(0)
    } finally {
      delete process.env.SLURM_NTASKS
      delete process.env.SLURM_PROCID
    }
  })

  test('trains in it as without it', async () => {
    const group = await Group.join()
    const weights = async (options: { group?: Group }) => {
      const flow = await Flow.create({ shape: [1], blocks: [{ type: 'cnf', net: { hidden: [4] } }], seed: 1 })
      await flow.fit(
        Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)),
        { iterations: 5, ...options }
      )
      return Object.values(flow.parameters()).map(({ data }) => [...data])
    }
    expect(await weights({ group })).toEqual(await weights({}))
    await group.leave()
    expect(await weights({ group })).toEqual(await weights({}))
  })

  test('tells which NCCL there is, or why none', () => {
    const before = process.env.FFJORD_NCCL
    const found = (name: string) => {
      process.env.FFJORD_NCCL = name
      return libraryInfo().find(({ name }) => name === 'NCCL')
    }
    try {
      expect(found('none')).toMatchObject({ usable: false, reason: "FFJORD_NCCL is 'none'", version: '' })
      expect(found('no-nccl.so')).toMatchObject({
        usable: false,
        reason: expect.stringContaining('no-nccl.so')
      })
      const { FFJORD_TEST_NCCL: itself } = process.env
      if (itself)
        expect(found(itself)).toMatchObject({ usable: true, version: expect.stringMatching(/^NCCL 2\./) })
      else console.warn('skipped: NCCL itself, as FFJORD_TEST_NCCL does not name its file')
    } finally {
      if (before === undefined) delete process.env.FFJORD_NCCL
      else process.env.FFJORD_NCCL = before
    }
  })

  test('what is no group is refused', async () => {
    const flow = await Flow.create({ shape: [1], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
    await failure(
      async () => flow.fit(new Float32Array(8), { iterations: 1, group: {} as Group }),
      'INVALID_OPTION'
    )
    await failure(() => Group.join({ deadline: 0 }), 'INVALID_OPTION')
  })
})

describe('two ranks on each of two machines', () => {
  const cores = binding().cpu().threads

  /** Threads of ranks that have these cores of these machines. */
  async function threadsOn(places: readonly (readonly [machine: string, list: string])[]) {
    const size = places.length
    const sums = new Float64Array(size)
    let met = () => {}
    const allThere = new Promise<void>((resolve) => (met = resolve))
    const found = places.map(([machine, list], rank) => {
      jest.spyOn(os, 'hostname').mockReturnValueOnce(machine)
      jest.spyOn(fs, 'readFileSync').mockReturnValueOnce(`Name: node\nCpus_allowed_list:\t${list}\n`)
      return threadsOf({
        size,
        rank,
        sum: async (own) => {
          own.forEach((value, i) => {
            sums[i]! += value
          })
          if (rank === size - 1) met()
          await allThere
          return sums
        }
      })
    })
    return Promise.all(found)
  }
  afterEach(() => jest.restoreAllMocks())

  test('have the cores that they were given, which have the same numbers on both', async () => {
    const places = [
      ['one', '0-3'],
      ['one', '4-7'],
      ['two', '0-3'],
      ['two', '4-7']
    ] as const
    expect(await threadsOn(places)).toEqual(places.map(() => cores))
  })

  test('divide those that they share', async () => {
    const places = ['one', 'one', 'two', 'two'].map((machine) => [machine, '0-7'] as const)
    expect(await threadsOn(places)).toEqual(places.map(() => Math.max(1, Math.floor(cores / 2))))
  })
})

describe.each(launchers)('$name', (launcher) => {
  const each = missing(launcher) ? test.skip : test

  each.each([2, 4])('%d ranks come to the bits of one process', async (count) => {
    alone ??= start(undefined, 1, everything)
    const [one] = (await alone).ranks as [Rank]
    const { code, output, ranks } = await start(launcher, count, sameBits)
    expect({ code, output }).toMatchObject({ code: 0 })
    expect(ranks).toHaveLength(count)
    for (const { rank, size, localRank, localSize, transport, same, jobs } of ranks) {
      expect({ rank, size, localRank, localSize, transport, same }).toEqual({
        rank: ranks.findIndex((other) => other.rank === rank),
        size: count,
        localRank: rank,
        localSize: count,
        transport: 'mpi',
        same: true
      })
      expect(jobs).toEqual(Object.fromEntries(sameBits.map((name) => [name, one.jobs[name]])))
    }
  })

  each.each([
    [3, ['sample', 'together', 'images', ...near]],
    [2, ownRows]
  ])('%d ranks come near them in %p', async (count, names) => {
    alone ??= start(undefined, 1, everything)
    const [one] = (await alone).ranks as [Rank]
    const { code, output, ranks } = await start(launcher, count, names)
    expect({ code, output }).toMatchObject({ code: 0 })
    const [first] = ranks as [Rank]
    for (const { jobs } of ranks) expect(jobs).toEqual(first.jobs)
    for (const [name, { losses, nfe }] of Object.entries(first.jobs)) {
      expect(losses).toHaveLength(one.jobs[name]!.losses.length)
      // Each step doubles what the steps before made of a difference in rounding.
      losses.slice(0, 8).forEach((loss, i) => {
        expect(Math.abs(loss - one.jobs[name]!.losses[i]!)).toBeLessThan(2e-3)
      })
      expect(nfe.map((one) => one.toFixed(6))).toEqual(one.jobs[name]!.nfe.map((one) => one.toFixed(6)))
    }
  })

  each('where the memory of one is short, all divide the batch', async () => {
    const asked = await start(launcher, 2, ['wide'], { RANK_PARTS: '2' })
    const { code, output, ranks } = await start(launcher, 2, ['wide'], { RANK_1_MEMORY: String(2 ** 26) })
    expect({ code, output }).toMatchObject({ code: 0 })
    const parts = asked.ranks[0]!.jobs.wide!
    expect(parts).toMatchObject({ iterations: 2, warnings: [] })
    for (const { jobs } of ranks) expect(jobs.wide).toEqual({ ...parts, warnings: ['BATCH_DIVIDED'] })
  })

  each('what ends one rank ends all at the same place', async () => {
    const names = [
      'failing',
      'failing together',
      'shards that differ',
      'skipping',
      'aborted',
      'broken',
      'thrown',
      'other batch',
      'other data',
      'other visits',
      'other flow',
      'failing alone',
      'two at once',
      'other end',
      'sample',
      'after leaving'
    ]
    alone ??= start(undefined, 1, everything)
    const { code, output, ranks } = await start(launcher, 2, names, { RANK_DEADLINE: '20' })
    expect({ code, output }).toMatchObject({ code: 0 })
    const [zero, one] = ranks as [Rank, Rank]
    const told = (name: string) => ranks.map(({ jobs }) => jobs[name]!.error?.message ?? '')
    expect(zero.jobs.failing!.error).toMatchObject({ code: 'SOLVE_FAILED' })
    expect(zero.jobs.failing!.error!.message).toContain('on rank 1')
    expect(one.jobs.failing!.error).toMatchObject({ code: 'SOLVE_FAILED' })
    for (const { jobs } of ranks)
      expect(jobs['failing together']!.error).toMatchObject({ code: 'SOLVE_FAILED' })
    expect(told('failing together').filter((message) => message.includes('on rank '))).toHaveLength(1)
    expect(zero.jobs['shards that differ']).toMatchObject({ stopped: 'data', iterations: 4 })
    expect(zero.jobs['shards that differ']).toEqual(one.jobs['shards that differ'])
    expect(one.jobs.failing!.unchanged && zero.jobs.failing!.unchanged).toBe(true)
    expect(zero.jobs.skipping).toEqual(one.jobs.skipping)
    expect(zero.jobs.skipping!.iterations).toBe(3)
    expect(zero.jobs.skipping!.losses).toHaveLength(3)
    expect(zero.jobs.aborted).toMatchObject({ stopped: 'signal' })
    expect(zero.jobs.aborted).toEqual(one.jobs.aborted)
    expect(zero.jobs.broken).toEqual(one.jobs.broken)
    expect(zero.jobs.thrown!.error!.message).toBe('the disk is full')
    expect(one.jobs.thrown!.error!.message).toContain('on rank 0: the disk is full')
    for (const message of told('other batch')) expect(message).toMatch(/differ in .*batch/)
    for (const message of [...told('other data'), ...told('other visits')])
      expect(message).toContain('differ in the data')
    for (const message of told('other flow')) expect(message).toContain('differ in description')
    // The jobs before have ended all ranks together, which says nothing of this one.
    expect(told('failing alone')).toEqual(['on rank 1: there is no file', 'there is no file'])
    for (const message of told('other end')) expect(message).toMatch(/differ in .*data/)
    for (const { jobs } of ranks) {
      expect(jobs['two at once']!.second!.error).toMatchObject({ code: 'UNSUPPORTED' })
      expect(jobs['two at once']).toMatchObject({
        iterations: 20,
        weights: zero.jobs['two at once']!.weights
      })
      expect(jobs['after leaving']).toMatchObject({
        early: 'UNSUPPORTED',
        iterations: 5,
        error: { code: 'DISPOSED' }
      })
    }
    // And the group trains on.
    expect(zero.jobs.sample).toEqual((await alone).ranks[0]!.jobs.sample)
  })

  each('a rank that leaves its loop by an error does not end the others before they are done', async () => {
    const { code, ranks } = await start(launcher, 2, ['left'])
    expect(code).not.toBe(0)
    expect(ranks[0]!.jobs.left).toEqual({ stopped: 'signal' })
  })

  each('goes on with another number of ranks with the same bits', async () => {
    const whole = await start(undefined, 1, ['forty'])
    const saved = await start(launcher, 4, ['saved'])
    expect(saved.code).toBe(0)
    const model = { RANK_MODEL: `${saved.out}.safetensors` }
    for (const more of [
      await start(launcher, 2, ['resumed'], model),
      await start(undefined, 1, ['resumed'], model)
    ])
      expect(more.ranks[0]!.jobs.resumed!.weights).toBe(whole.ranks[0]!.jobs.forty!.weights)
  })

  each('a rank that dies ends the job, and the last checkpoint is whole', async () => {
    const { code, out } = await start(launcher, 2, ['endless'], {}, async (out) => {
      process.kill((await underWay(out, 1)).pid, 'SIGKILL')
    })
    expect(code).not.toBe(0)
    const flow = await Flow.load(`${out}.safetensors`)
    expect(flow.provenance!.iterations).toBeGreaterThanOrEqual(5)
  })

  each('a rank that hangs is found by the deadline', async () => {
    let hung = 0
    const { code, ranks, output } = await start(
      launcher,
      2,
      ['endless'],
      { RANK_DEADLINE: '3' },
      async (out) => {
        hung = (await underWay(out, 1)).pid
        process.kill(hung, 'SIGSTOP')
      }
    )
    try {
      process.kill(hung, 'SIGKILL')
    } catch {
      // The launcher has ended it.
    }
    expect({ code, output }).not.toMatchObject({ code: 0 })
    expect(ranks[0]!.jobs.endless!.error).toMatchObject({ code: 'PEER_LOST' })
  })

  each('a library of another make is an error that names both', async () => {
    const { code, output } = await start(launcher, 2, ['sample'], { FFJORD_MPI: launcher.other })
    expect(code).not.toBe(0)
    expect(output).toContain('different makes')
    expect(output).toContain(launcher.other)
  })

  each(
    'the command trains in parallel without another option, and stops on a signal to one rank',
    async () => {
      const out = join(folder(), `command-${launcher.name}`)
      const train = (given: readonly string[]) => {
        const [file, ...rest] = [...launcher.start, '-n', '2', process.execPath, command, 'train', ...given]
        return spawn(file!, rest, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 240_000 })
      }
      const endOf = (child: ReturnType<typeof train>) => {
        let output = ''
        for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (output += chunk))
        return new Promise<{ code: number | null; output: string }>((resolve) =>
          child.on('close', (code) => resolve({ code, output }))
        )
      }
      const options = (folder: string) => {
        const given = '--data pinwheel --hidden 8,8 --batch 128 --no-report --quiet --out'
        return [...given.split(' '), folder]
      }
      const first = await endOf(train([...options(out), '--iterations', '30']))
      expect(first).toMatchObject({ code: 0 })
      expect(first.output.match(/Trained {2}30 iterations/g)).toHaveLength(1)
      expect(first.output.match(/Ranks {4}2 by .*MPI/g)).toHaveLength(1)
      const lines = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n')
      expect(lines.map((line) => JSON.parse(line).iteration)).toEqual(
        Array.from({ length: 30 }, (_, i) => i + 1)
      )

      const table = `${out}.csv`
      const cells = Array.from({ length: 900 }, (_, i) => `${Math.sin(i)},${Math.cos(i * i)}`)
      writeFileSync(table, `a,b\n${cells.join('\n')}\n`)
      const small = '--hidden 8,8 --batch 128 --iterations 10 --no-report --quiet --stream --shard'
      const streamed = await endOf(train([...small.split(' '), '--data', table, '--out', `${out}-streamed`]))
      expect(streamed).toMatchObject({ code: 0 })
      expect(streamed.output).toContain('Trained  10 iterations')

      const endless = `${out}-endless`
      const child = train([...options(endless), '--iterations', '1000000'])
      const ended = endOf(child)
      while (!existsSync(join(endless, 'model.safetensors')))
        await new Promise((resolve) => setTimeout(resolve, 200))
      const found = spawnSync('pgrep', ['-f', `^${process.execPath} ${command} train.*--out ${endless}`], {
        encoding: 'utf8'
      })
      process.kill(Number(found.stdout.trim().split('\n').at(-1)), 'SIGINT')
      const { code, output } = await ended
      expect(code).not.toBe(0)
      expect(output.match(/Interrupted at iteration/g)).toHaveLength(1)
    }
  )
})
