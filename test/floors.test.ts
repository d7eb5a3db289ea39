/** scripts/check-floors.js fails where a dependency runs in a circle or up. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const script = join(__dirname, '..', 'scripts', 'check-floors.js')

/** What the script says of a house with these files, and how it ends. */
function check(files: Record<string, string>): { status: number | null; said: string[] } {
  const root = mkdtempSync(join(tmpdir(), 'floors-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true })
      writeFileSync(join(root, name), text)
    }
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' })
    return { status, said: (stderr || stdout).trim().split('\n') }
  } finally {
    rmSync(root, { recursive: true })
  }
}

test('arrows that run down pass', () => {
  const files = {
    'lib/flow/core.ts': "import type { Rows } from '../native/batch'\n",
    'lib/native/batch.ts': 'export interface Rows {}\n',
    'native/cpu/tile.h': '#include "core/net.h"\n#include <vector>\n',
    'native/core/net.h': '#pragma once\n'
  }
  expect(check(files)).toEqual({ status: 0, said: ['no circle and no arrow against the floors in 4 files'] })
})

test('a circle is named from file to file, of types as of values', () => {
  const files = {
    'lib/data/rows.ts': "import type { Cells } from './cells'\nexport interface Rows { cells: Cells }\n",
    'lib/data/cells.ts': "export { places } from './places'\n",
    'lib/data/places.ts': "export const places = (rows: import('./rows').Rows) => rows\n",
    'native/core/net.h': '#include "core/layer.h"\n',
    'native/core/layer.h': '  #  include "core/net.h"\n'
  }
  const { status, said } = check(files)
  expect(status).toBe(1)
  expect(said).toHaveLength(2)
  expect(said[0]).toMatch(/^circle: native\/core\/(net|layer)\.h → .* → native\/core\/\1\.h$/)
  expect(said[1]).toMatch(
    /^circle: lib\/data\/(\w+)\.ts → lib\/data\/\w+\.ts → lib\/data\/\w+\.ts → lib\/data\/\1\.ts$/
  )
})

test.each([
  [
    'lib/data/rows.ts',
    "import type { FlowCore } from '../flow/core'",
    'lib/flow/core.ts',
    'data stands below flow'
  ],
  ['lib/training/fit.ts', "import { Flow } from '../flow'", 'lib/flow.ts', 'training stands below flow.ts'],
  [
    'lib/table/load.ts',
    "import { x } from '../evaluation/scores'",
    'lib/evaluation/scores.ts',
    'table stands beside evaluation'
  ],
  ['native/core/engine.h', '#include "cpu/engine.h"', 'native/cpu/engine.h', 'core stands below cpu'],
  ['native/cuda/net/layer.cu', '#include "cpu/engine.h"', 'native/cpu/engine.h', 'cuda stands beside cpu'],
  [
    'native/cuda/net/layer.cu',
    '#include "cuda/block/solve.h"',
    'native/cuda/block/solve.h',
    'net stands below block'
  ]
])('an arrow against the floors fails: %s, %s', (from, line, to, reason) => {
  const { status, said } = check({ [from]: `${line}\n`, [to]: '' })
  expect(status).toBe(1)
  expect(said).toEqual([`arrow: ${from} → ${to}: ${reason}`])
})

test('a file without a room, and a header that belongs to one room, are named', () => {
  const { status, said } = check({ 'lib/rows.ts': '', 'native/core/net.h': '#include <napi.h>\n' })
  expect(status).toBe(1)
  expect(said[0]).toMatch(/^lib\/rows\.ts stands in no room of lib: native, file, data/)
  expect(said[1]).toBe('native/core/net.h names napi.h, which native/binding alone does')
})
