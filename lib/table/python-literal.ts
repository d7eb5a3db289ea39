/** Literals of Python, as the headers of NumPy's files hold them: texts, whole numbers, truth, lists, tuples, dictionaries. */

export type PythonValue = string | number | boolean | null | PythonValue[] | Map<PythonValue, PythonValue>

const DEEPEST = 32
const constants: Readonly<Record<string, boolean | null>> = { True: true, False: false, None: null }

/** @throws Error where the text is no literal */
export function pythonLiteral(text: string): PythonValue {
  let at = 0
  const value = read(0)
  if (next() !== '') throw new Error(`'${text.slice(at, at + 10)}' follows its end`)
  return value

  function next(): string {
    while (at < text.length && ' \n\t\r'.includes(text[at]!)) at++
    return text[at] ?? ''
  }

  function read(depth: number): PythonValue {
    if (depth > DEEPEST) throw new Error('it is nested too deeply')
    const first = next()
    if (first === '{') return new Map(items('}', () => entry(depth)))
    if (first === '[' || first === '(') return items(first === '[' ? ']' : ')', () => read(depth + 1))
    const [token, prefixed, content, digits, word] = /^(?:([ub]?)'([^'\\]*)'|(-?\d+)L?|([A-Za-z]+))/.exec(
      text.slice(at, at + MOST_TOKEN)
    ) ?? ['']
    at += token.length
    if (prefixed !== undefined) return content!
    if (digits !== undefined) return Number(digits)
    if (word !== undefined && Object.hasOwn(constants, word)) return constants[word]!
    throw new Error(`'${text.slice(at, at + 10)}' is no part of it`)
  }

  function entry(depth: number): [PythonValue, PythonValue] {
    const key = read(depth + 1)
    if (next() !== ':') throw new Error('a key has no value')
    at++
    return [key, read(depth + 1)]
  }

  function items<T>(end: string, item: () => T): T[] {
    const found: T[] = []
    at++
    while (next() !== end) {
      found.push(item())
      if (next() === ',') at++
      else if (next() !== end) throw new Error(`a list goes on with '${next()}'`)
    }
    at++
    return found
  }
}

/** Letters of a text. */
const MOST_TOKEN = 10_000
