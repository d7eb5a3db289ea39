import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import nodeGypBuild = require('node-gyp-build')

interface Manifest {
  name: string
  version: string
  config: { glibc: string }
}

/** The addon could not be loaded; the message lists what was tried and what to do. */
export class AddonLoadError extends Error {
  override readonly name = 'AddonLoadError'
  readonly code = 'ADDON_NOT_LOADED'
}

const packageRoot = join(__dirname, '..', '..')

/**
 * Loads the compiled addon of the package at `root`: build/Release first (compiled here), then the prebuilt binary
 * for this platform. For this package itself, the file that the environment's FFJORD_ADDON names comes before both.
 *
 * @throws AddonLoadError when none loads
 */
export function loadAddon(root: string = packageRoot): unknown {
  const named = root === packageRoot ? process.env.FFJORD_ADDON : undefined
  try {
    if (named) return require(named)
    return nodeGypBuild(root)
  } catch (error) {
    throw new AddonLoadError(explain(root, error as Error), { cause: error })
  }
}

function explain(root: string, error: Error): string {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
  const installScript = join(root, 'scripts', 'install.js')
  return `Cannot load the native addon of ${manifest.name} ${manifest.version}.

  platform: ${process.platform}-${process.arch}, Node ${process.version} (Node-API ${process.versions.napi})
  libc:     ${libcFound()}; a prebuilt binary needs glibc ${manifest.config.glibc} or newer
  tried:    ${attempts(root).join('\n            ')}
  reason:   ${error.message.trim().replaceAll('\n', '\n            ')}

What to do:
  - Did npm (12 and newer), pnpm, yarn or bun skip the install script? Allow it, then rebuild:
      npm install-scripts approve ${manifest.name} && npm rebuild ${manifest.name}
  - Compile for this machine; it takes a C++20 compiler (g++ 11 or newer, clang 14 or newer):
      npm_config_build_from_source=true npm rebuild ${manifest.name}
  - The same without npm:
      node ${installScript} --force
  - Were node_modules copied from another platform, or into another container? Install them here.
  - With a bundler, mark '${manifest.name}' as external, so that it finds its binary.`
}

function libcFound(): string {
  if (process.platform !== 'linux') return 'not glibc'
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime ? `glibc ${header.glibcVersionRuntime}` : 'not glibc (musl?)'
}

/** The places node-gyp-build looks at, in its order, and what is there. */
function attempts(root: string): string[] {
  const platform = `${process.platform}-${process.arch}`
  const folders = ['build/Release', 'build/Debug', `prebuilds/${platform}`].map((folder) =>
    join(root, folder)
  )
  return folders.map((folder) => {
    const binaries = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.node')) : []
    return `${folder}: ${binaries.length > 0 ? binaries.join(', ') : 'no binary'}`
  })
}
