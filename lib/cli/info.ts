import type { Command } from 'commander'
import { deviceInfo, toyNames } from '../index'
import { binding } from '../native/binding'
import { VERSION } from '../report/version'

/** `ffjord info`: devices, instruction sets, solvers, toy densities. */
export function addInfo(program: Command): void {
  program
    .command('info')
    .description('list devices, solvers and toy densities')
    .option('--json', 'print one JSON object')
    .action(({ json }: { json?: boolean }) => {
      const info = {
        version: VERSION,
        node: process.version,
        platform: `${process.platform}-${process.arch}`,
        engines: deviceInfo(),
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
      console.log('\nSolvers')
      for (const { name, order, adaptive } of info.solvers) {
        console.log(`  ${name.padEnd(15)}order ${order}, ${adaptive ? 'adaptive' : 'equal steps'}`)
      }
      console.log(`\nToy densities\n  ${toyNames.join(', ')}`)
    })
}
