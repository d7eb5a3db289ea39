import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AddonLoadError, loadAddon } from '../lib/native/load'

const repository = join(__dirname, '..')
const platform = `${process.platform}-${process.arch}`
let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ffjord-load-'))
  cpSync(join(repository, 'package.json'), join(root, 'package.json'))
})

afterEach(() => rmSync(root, { recursive: true }))

function failure(): AddonLoadError {
  try {
    loadAddon(root)
  } catch (error) {
    expect(error).toBeInstanceOf(AddonLoadError)
    return error as AddonLoadError
  }
  throw new Error('loaded an addon from an empty folder')
}

test('the addon of this package loads', () => {
  expect(typeof loadAddon()).toBe('object')
})

test('without a binary the error says what was looked for, where, and what to do', () => {
  const { message, code } = failure()
  expect(code).toBe('ADDON_NOT_LOADED')
  expect(message).toContain(`platform: ${platform}, Node ${process.version}`)
  expect(message).toMatch(/libc: .*glibc \d\.\d+ or newer/)
  expect(message).toContain(`${join(root, 'build/Release')}: no binary`)
  expect(message).toContain(`${join(root, 'prebuilds', platform)}: no binary`)
  expect(message).toContain('npm install-scripts approve ffjord && npm rebuild ffjord')
  expect(message).toContain('npm_config_build_from_source=true npm rebuild ffjord')
  expect(message).toContain(`node ${join(root, 'scripts/install.js')} --force`)
})

test('a binary that does not load is named with the reason', () => {
  const folder = join(root, 'prebuilds', platform)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'ffjord.node'), 'not a shared library')
  const { message, cause } = failure()
  expect(message).toContain(`${folder}: ffjord.node`)
  expect(message).toContain((cause as Error).message)
})
