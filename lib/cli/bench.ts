import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { type Device, deviceInfo, Flow, toy } from '../index'
import { binding } from '../native/binding'
import { Interrupted, WrongCall } from './exit'
import { addDevice, type DeviceChoice } from './options'

interface Choice extends DeviceChoice {
  json?: boolean
}

/** The root of the package; a checkout has the full benchmark, beside the machine's limits and other libraries. */
const ROOT = join(__dirname, '..', '..')

/** `ffjord bench`: how fast this machine trains and evaluates the flow of the demo. */
export function addBench(program: Command): void {
  const command = program
    .command('bench [arguments...]')
    .description('measure this machine; in a checkout, arguments after -- go to the full benchmark')
    .option('--json', 'print one JSON object')
  addDevice(command).action((given: string[], choice: Choice) =>
    given.length > 0 ? full(given) : short(choice)
  )
  command
    .command('ablation')
    .description('experiments with the method, in a checkout: tables and figures; ablation --help lists them')
    .argument('[arguments...]')
    .helpOption(false)
    .allowUnknownOption()
    .action((given: string[]) => full(['ablation', ...given]))
}

function full(given: string[]): void {
  if (!existsSync(join(ROOT, 'bench', 'run.ts'))) {
    throw new WrongCall('the full benchmark comes with a checkout alone; give no arguments')
  }
  const { status, signal } = spawnSync('npm', ['run', 'bench', '--', ...given], {
    cwd: ROOT,
    stdio: 'inherit'
  })
  if (signal) throw new Interrupted(`the benchmark was ended by ${signal}`)
  process.exitCode = status ?? 1
}

async function short({ device, threads, json }: Choice): Promise<void> {
  using flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', trainTime: true, net: { hidden: [64, 64, 64] } }],
    device: device as Device,
    ...(threads !== undefined && { threads })
  })
  const rows = toy('pinwheel').sample(1024)
  const adam = flow.optimizer({ type: 'adam', lr: 1e-3 })
  const logProb = await best(() => flow.logProb(rows))
  const evaluations = flow.statistics!.nfe
  const iteration = await best(async () => {
    await flow.loss(rows)
    await adam.step()
  })
  const sample = await best(() => flow.sample(1024))
  const engine = deviceInfo().find(({ name }) => name === flow.device)
  const result = {
    device: flow.device,
    engine: engine?.description,
    peakGflops: binding().fmaPeak(0.3),
    flow: '2-64-64-64-2 concatsquash tanh, dopri5 at 1e-5, exact trace, 1024 rows, untrained',
    milliseconds: { logProb, sample, iteration },
    evaluations
  }
  if (json) {
    console.log(JSON.stringify(result))
    return
  }
  console.log(`${result.flow}; device ${flow.device}: ${engine?.description}`)
  console.log(`peak of one core     ${result.peakGflops.toFixed(0)} GFLOP/s`)
  console.log(`logProb              ${logProb.toFixed(2)} ms (${evaluations.toFixed(0)} evaluations)`)
  console.log(`sample               ${sample.toFixed(2)} ms`)
  console.log(`training iteration   ${iteration.toFixed(2)} ms`)
}

/** Milliseconds of the fastest of the calls that fit into half a second, at least three. */
async function best(call: () => Promise<unknown>): Promise<number> {
  await call()
  let fastest = Infinity
  const end = performance.now() + 500
  for (let round = 0; round < 3 || performance.now() < end; round++) {
    const start = performance.now()
    await call()
    fastest = Math.min(fastest, performance.now() - start)
  }
  return fastest
}
