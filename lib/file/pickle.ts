/**
 * Values that Python pickled as text (protocol 0): lists, dictionaries, texts and numbers, and objects of those names alone that the
 * caller makes. Nothing is called.
 */

export type Pickled<T = never> =
  | string
  | number
  | boolean
  | null
  | PickledName
  | T
  | Pickled<T>[]
  | Map<Pickled<T>, Pickled<T>>

/** A class or a function, such as 'numpy ndarray'. */
export class PickledName {
  constructor(readonly name: string) {}
}

/** How objects are made. Both throw an Error for what they do not know. */
export interface Maker<T> {
  /** Whether the name may stand in a file. */
  knows(name: string): boolean
  call(name: string, given: Pickled<T>[]): T
  /** Sets the state of what `call` made. */
  build(object: Pickled<T>, state: Pickled<T>): void
}

/** @throws Error, 'it …', on anything else */
export function unpickled<T = never>(text: string, maker?: Maker<T>): Pickled<T> {
  const marks: Pickled<T>[][] = []
  const memory = new Map<string, Pickled<T>>()
  let stack: Pickled<T>[] = []
  let at = 0
  const line = () => {
    const end = text.indexOf('\n', at)
    if (end < 0) throw new Error('it ends early')
    const found = text.slice(at, end)
    at = end + 1
    return found
  }
  const pop = (): Pickled<T> => {
    if (stack.length === 0) throw new Error('it takes more values than there are')
    return stack.pop()!
  }
  const sinceMark = (): Pickled<T>[] => {
    const found = stack
    const before = marks.pop()
    if (!before) throw new Error('it has no mark')
    stack = before
    return found
  }
  const top = () => stack.at(-1)
  for (;;) {
    if (at >= text.length) throw new Error('it ends early')
    const code = text[at++]!
    switch (code) {
      case '.':
        return pop()
      case '(':
        marks.push(stack)
        stack = []
        break
      case 'l':
      case 't': {
        const items = sinceMark()
        stack.push(items)
        break
      }
      case 'd': {
        const items = sinceMark()
        stack.push(new Map(items.flatMap((key, i) => (i % 2 === 0 ? [[key, items[i + 1] ?? null]] : []))))
        break
      }
      case 'p':
        memory.set(line(), top() ?? null)
        break
      case 'g':
        stack.push(memory.get(line()) ?? null)
        break
      case 'V':
        stack.push(
          line().replace(/\\u([0-9a-f]{4})/gi, (_, digits: string) =>
            String.fromCharCode(Number.parseInt(digits, 16))
          )
        )
        break
      case 'S':
        stack.push(unescaped(line()))
        break
      case 'I':
      case 'L':
        stack.push(whole(line()))
        break
      case 'F':
        stack.push(Number(line()))
        break
      case 'N':
        stack.push(null)
        break
      case 'a': {
        const item = pop()
        const to = top()
        if (!Array.isArray(to)) throw new Error('it adds to no list')
        to.push(item)
        break
      }
      case 's': {
        const value = pop()
        const key = pop()
        const to = top()
        if (!(to instanceof Map)) throw new Error('it adds to no dictionary')
        to.set(key, value)
        break
      }
      case 'c': {
        const name = `${line()} ${line()}`
        if (!maker?.knows(name)) throw new Error(`it names ${name}, which this reader does not make`)
        stack.push(new PickledName(name))
        break
      }
      case 'R': {
        const given = pop()
        const call = pop()
        if (!maker || !(call instanceof PickledName) || !Array.isArray(given))
          throw new Error('it calls what is no name')
        stack.push(maker.call(call.name, given))
        break
      }
      case 'b': {
        const state = pop()
        if (!maker) throw new Error('it sets the state of what is no object')
        maker.build(top() ?? null, state)
        break
      }
      default:
        throw new Error(`it goes on with ${JSON.stringify(code)}, which no such text has`)
    }
  }
}

function whole(digits: string): number | boolean {
  if (digits === '00') return false
  if (digits === '01') return true
  const number = Number(digits.replace(/L$/, ''))
  if (!Number.isSafeInteger(number)) throw new Error(`it holds the number '${digits.slice(0, 20)}'`)
  return number
}

/** A string as Python writes it, a character a byte. */
function unescaped(literal: string): string {
  const quoted = /^(['"])(.*)\1$/s.exec(literal)
  if (!quoted) throw new Error('it holds a string without quotes')
  const letters: Record<string, string> = { n: '\n', t: '\t', r: '\r' }
  return quoted[2]!.replace(/\\(x[0-9a-f]{2}|.)/gis, (_, code: string) =>
    code.length === 3 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : (letters[code] ?? code)
  )
}
