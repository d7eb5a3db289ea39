// The package as its users get it: packed, then installed into an empty folder.
//   FFJORD_TARBALL=FILE            test this tarball; otherwise one is packed here around the addon already compiled
//   FFJORD_TEST_SOURCE_INSTALL=1   also install without a prebuilt binary, which compiles for minutes
//   FFJORD_TEST_OFFLINE=1          leave out what installs the package, where no registry serves its dependencies
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

import nodeGypBuild = require('node-gyp-build')

import { Flow } from '../lib'

const repository = join(__dirname, '..')
const typescript = join(repository, 'node_modules/typescript/bin/tsc')
const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { files: string[] }
const prebuiltFile = `prebuilds/${process.platform}-${process.arch}/ffjord.${existsSync('/etc/alpine-release') ? 'musl' : 'glibc'}.node`
const sourceInstall = process.env.FFJORD_TEST_SOURCE_INSTALL === '1'
const offline = process.env.FFJORD_TEST_OFFLINE === '1'
const description = {
  shape: [2],
  blocks: [{ type: 'cnf', time: 0.5, net: { hidden: [8, 8], layer: 'concatsquash', activation: 'tanh' } }],
  device: 'cpu',
  seed: 0
} as const
const rows = [0, 0, 1, -1]
const tinyFlow = `
  const flow = await Flow.create(${JSON.stringify(description)})
  console.log(JSON.stringify([...await flow.logProb(Float32Array.from(${JSON.stringify(rows)}))]))`

let scratch: string
let tarball: string
let app: string

jest.setTimeout(180_000)

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ffjord-packaging-'))
  tarball = process.env.FFJORD_TARBALL ?? pack(stage(join(scratch, 'stage')), scratch)
  app = join(scratch, 'app')
  if (offline) return
  const installed = install(app, tarball, [])
  if (installed.status !== 0)
    throw new Error(`npm install failed (without a registry set FFJORD_TEST_OFFLINE=1):\n${installed.stderr}`)
})

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const testInstalled = offline ? test.skip : test
const skipped = offline ? ' (skipped, as FFJORD_TEST_OFFLINE is set)' : ''

test('the tarball holds what runs and what compiles, and nothing else', () => {
  const files = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n')
  for (const file of [
    'dist/index.js',
    'dist/index.d.ts',
    prebuiltFile,
    'binding.gyp',
    'native/sources.gypi',
    'LICENSE'
  ]) {
    expect(files).toContain(`package/${file}`)
  }
  expect(files.filter((file) => /^package\/(test|lib|bench|node_modules|build)\//.test(file))).toEqual([])
})

testInstalled(
  `installed with no compiler on the PATH, it computes what it computes here${skipped}`,
  async () => {
    const flow = await Flow.create(description)
    const expected = [...(await flow.logProb(Float32Array.from(rows)))]
    writeFileSync(
      join(app, 'use.cjs'),
      `const { Flow } = require('ffjord')\n;(async () => {${tinyFlow}\n})()`
    )
    writeFileSync(join(app, 'use.mjs'), `import { Flow } from 'ffjord'\n${tinyFlow}`)
    for (const program of ['use.cjs', 'use.mjs']) {
      const { stdout, stderr } = run(process.execPath, [program], app, pathOf('bare', []))
      expect(stderr).toBe('')
      expect(JSON.parse(stdout)).toEqual(expected)
    }
  }
)

testInstalled(`the installed command runs${skipped}`, () => {
  const { status, stdout } = run(
    join(app, 'node_modules/.bin/ffjord'),
    ['info', '--json'],
    app,
    pathOf('bare', [])
  )
  expect(status).toBe(0)
  expect(JSON.stringify(JSON.parse(stdout))).toContain('cpu')
})

testInstalled(`the installed types serve CommonJS and ESM programs${skipped}`, () => {
  const body = `const flow = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [8] } }] })
  const densities: Float32Array = await flow.logProb(Float32Array.of(0, 0))
  return densities`
  for (const extension of ['cts', 'mts']) {
    writeFileSync(
      join(app, `use.${extension}`),
      `import { Flow } from 'ffjord'\nexport async function use() {\n${body}\n}\n`
    )
  }
  const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2022', '--types', 'node']
  const roots = ['--typeRoots', join(repository, 'node_modules/@types')]
  const { stdout } = run(process.execPath, [typescript, ...options, ...roots, 'use.cts', 'use.mts'], app)
  expect(stdout).toBe('')
})

test('with neither a prebuilt binary nor a compiler, the install script fails and says what to install', () => {
  const folder = stage(join(scratch, 'no-binary'))
  rmSync(join(folder, 'prebuilds'), { recursive: true })
  const { status, stderr } = run(process.execPath, ['scripts/install.js'], folder, pathOf('bare', []))
  expect(status).toBe(1)
  expect(stderr).toContain('no C++ compiler on the PATH')
  expect(stderr).toContain('apt-get install g++')
})

const testFromSource = sourceInstall && !offline ? test : test.skip
testFromSource(
  'without a prebuilt binary, a compiler alone is enough to install (set FFJORD_TEST_SOURCE_INSTALL=1)',
  () => {
    const folder = join(scratch, 'from-source')
    mkdirSync(folder)
    execFileSync('tar', ['-xzf', tarball, '-C', folder])
    rmSync(join(folder, 'package/prebuilds'), { recursive: true })
    const sources = join(scratch, 'sources')
    mkdirSync(sources)
    const target = join(scratch, 'app-from-source')
    process.env.CXXFLAGS = '-O1' // in half the time
    const installed = install(target, pack(join(folder, 'package'), sources), ['g++', 'as', 'ld'])
    delete process.env.CXXFLAGS
    if (installed.status !== 0) throw new Error(`npm install failed:\n${installed.stderr}`)
    expect(existsSync(join(target, 'node_modules/ffjord/build/Release/ffjord.node'))).toBe(true)
    writeFileSync(join(target, 'use.mjs'), `import { Flow } from 'ffjord'\n${tinyFlow}`)
    const { stdout } = run(process.execPath, ['use.mjs'], target, pathOf('bare', []))
    expect(JSON.parse(stdout)).toHaveLength(2)
  },
  1_200_000
)

/** A copy of what `npm pack` takes, around the addon that this repository has compiled. */
function stage(folder: string): string {
  mkdirSync(folder)
  for (const file of ['package.json', 'README.md', 'LICENSE', ...manifest.files]) {
    const isBuilt = file === 'dist' || file === 'prebuilds'
    if (!isBuilt && existsSync(join(repository, file))) {
      cpSync(join(repository, file), join(folder, file), { recursive: true })
    }
  }
  execFileSync(process.execPath, [
    typescript,
    '-p',
    join(repository, 'tsconfig.build.json'),
    '--outDir',
    join(folder, 'dist')
  ])
  mkdirSync(dirname(join(folder, prebuiltFile)), { recursive: true })
  copyFileSync(nodeGypBuild.resolve(repository), join(folder, prebuiltFile))
  symlinkSync(join(repository, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

function pack(folder: string, destination: string): string {
  const output = npm(['pack', '--ignore-scripts', '--json', '--pack-destination', destination], folder)
  return join(destination, (JSON.parse(output.stdout) as { filename: string }[])[0]!.filename)
}

/** Installs a tarball into an empty folder, with only node, sh and `tools` on the PATH. */
function install(folder: string, file: string, tools: string[]): SpawnSyncReturns<string> {
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  return npm(
    [
      'install',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      '--fetch-retries',
      '1',
      '--fetch-retry-mintimeout',
      '1000',
      file
    ],
    folder,
    pathOf(tools.join('-') || 'bare', tools)
  )
}

function npm(options: string[], folder: string, path = process.env.PATH): SpawnSyncReturns<string> {
  const cli = process.env.npm_execpath ?? realpathSync(find('npm'))
  return run(process.execPath, [cli, ...options], folder, path)
}

function run(
  program: string,
  options: string[],
  cwd: string,
  path = process.env.PATH
): SpawnSyncReturns<string> {
  const settings = /^npm_config_(registry|cache|cafile|.*proxy|userconfig|globalconfig)$/i
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_') || settings.test(name))
  const env = { ...Object.fromEntries(kept), PATH: path }
  return spawnSync(program, options, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 26 })
}

/** A PATH whose only programs are node, sh, env and `tools`. */
function pathOf(name: string, tools: string[]): string {
  const folder = join(scratch, 'path', name)
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true })
    symlinkSync(process.execPath, join(folder, 'node'))
    for (const tool of ['sh', 'env', ...tools]) symlinkSync(realpathSync(find(tool)), join(folder, tool))
  }
  return folder
}

function find(program: string): string {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = folders.map((folder) => join(folder, program)).find((file) => existsSync(file))
  if (!found) throw new Error(`${program} is not on the PATH`)
  return found
}
