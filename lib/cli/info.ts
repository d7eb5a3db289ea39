import type { Command } from 'commander'
import { deviceInfo, Flow, libraryInfo, toyNames } from '../index'
import { binding } from '../native/binding'
import { VERSION } from '../native/version'

import { MODEL, modelFile } from './model'

/** `ffjord info`: devices, instruction sets, solvers, toy densities; or what a model is. */
export function addInfo(program: Command): void {
  program
    .command('info')
    .description('list devices, solvers and toy densities, or tell what a model is')
    .option(...MODEL)
    .option('--json', 'print one JSON object')
    .action(async ({ json, model }: { json?: boolean; model?: string }) => {
      if (model !== undefined) return tellModel(modelFile(model), json ?? false)
      const info = {
        version: VERSION,
        node: process.version,
        platform: `${process.platform}-${process.arch}`,
        engines: deviceInfo(),
        libraries: libraryInfo(),
        solvers: binding()
          .methods()
          .map(({ name, order, adaptive }) => ({ name, order, adaptive })),
        toys: toyNames
      }
      if (json) {
        console.log(JSON.stringify(info, null, 2))
        return
      }
      console.log(`ffjord ${VERSION}, Node ${process.version}, ${info.platform}`)
      console.log('\nDevices')
      for (const { name, description, usable, reason, precision } of info.engines) {
        console.log(
          `  ${name.padEnd(15)}${precision.padEnd(10)}${usable ? description : `not usable: ${reason}`}`
        )
      }
      console.log('\nLibraries for training on many machines')
      for (const { name, version, path, usable, reason } of info.libraries)
        console.log(`  ${name.padEnd(15)}${usable ? `${version} (${path})` : `not found: ${reason}`}`)
      console.log('\nSolvers')
      for (const { name, order, adaptive } of info.solvers) {
        console.log(`  ${name.padEnd(15)}order ${order}, ${adaptive ? 'adaptive' : 'equal steps'}`)
      }
      console.log(`\nToy densities\n  ${toyNames.join(', ')}`)
    })
}

/** What a model is and where it comes from, of its file alone. */
async function tellModel(path: string, json: boolean): Promise<void> {
  using flow = await Flow.load(path)
  if (!json) {
    const [, ...lines] = `${flow}`.split('\n')
    console.log(lines.join('\n'))
    return
  }
  const { description, options, traces, endTimes, table, provenance } = flow
  const parameters = Object.values(flow.parameters()).reduce((sum, { data }) => sum + data.length, 0)
  const told = { model: path, ...description, ...options, traces, endTimes, parameters, table, provenance }
  console.log(JSON.stringify(told, null, 2))
}
