import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type FfjordError, isFfjordError, nativeCodes, translate } from '../lib/native/errors'

test('every code of the binding is one of the library', () => {
  const source = readFileSync(join(__dirname, '..', 'native', 'binding', 'errors.cc'), 'utf8')
  const given = new Set([...source.matchAll(/"([A-Z]{3,}(?:_[A-Z]+)*)"/g)].map(([, code]) => code!))
  expect(given.size).toBeGreaterThan(5)
  expect([...given].sort()).toEqual([...nativeCodes].sort())
})

test('errors of the binding become those of the library, and others stay as they are', () => {
  for (const code of nativeCodes) {
    const error = Object.assign(new Error('message; remedy'), { code })
    const translated = translate(error) as FfjordError
    expect(isFfjordError(translated)).toBe(true)
    expect(translated).toMatchObject({ code, message: error.message, cause: error })
  }
  for (const other of [Object.assign(new Error('x'), { code: 'ENOENT' }), new TypeError('x'), 'text', null])
    expect(translate(other)).toBe(other)
})
