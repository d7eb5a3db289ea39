import { damaged, fileBytes } from './file-bytes'

/**
 * A list of arrays of bytes that NumPy pickled as text (protocol 0), as the published Frey faces are. Of what a pickle can do
 * the reader knows what such a list needs: it makes no object and calls nothing, and refuses every other name.
 */
export interface PickledArray {
  shape: number[]
  data: Uint8Array
}

/** The names that NumPy's arrays are made of. */
const RECONSTRUCT = /^numpy\.(core|_core)\.multiarray _reconstruct$/
const ARRAY = 'numpy ndarray'
const TYPE = 'numpy dtype'

/** What stands on the stack: an array is empty, or a type, until it is told its state. */
type Value = number | string | boolean | null | Value[] | Name | Made
class Name {
  constructor(readonly name: string) {}
}
class Made {
  type?: string
  array?: PickledArray
}

export async function readPickledArrays(path: string): Promise<PickledArray[]> {
  const bytes = await fileBytes(path)
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const remedy = 'give the file as it is published'
  const refuse: (what: string) => never = (what) => damaged(path, what, remedy)
  const memory = new Map<string, Value>()
  const marks: Value[][] = []
  let stack: Value[] = []
  let at = 0
  const line = (): string => {
    const end = text.indexOf('\n', at)
    if (end < 0) refuse('ends early')
    const found = text.toString('latin1', at, end)
    at = end + 1
    return found
  }
  const pop = (): Value => (stack.length > 0 ? stack.pop()! : refuse('takes more values than there are'))
  const sinceMark = (): Value[] => {
    const found = stack
    stack = marks.pop() ?? refuse('has no mark')
    return found
  }

  for (;;) {
    if (at >= text.length) refuse('ends early')
    const code = String.fromCharCode(text[at++]!)
    switch (code) {
      case '.': {
        const list = pop()
        const arrays = Array.isArray(list) ? list.map((one) => one instanceof Made && one.array) : []
        if (arrays.length === 0 || !arrays.every((one) => one))
          return refuse('holds no list of arrays of bytes')
        return arrays as PickledArray[]
      }
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
      case 'p':
        memory.set(line(), stack.at(-1) ?? null)
        break
      case 'g':
        stack.push(memory.get(line()) ?? null)
        break
      case 'c':
        stack.push(known(`${line()} ${line()}`))
        break
      case 'I':
      case 'L':
        stack.push(whole(line()))
        break
      case 'S':
        stack.push(unescaped(line()))
        break
      case 'N':
        stack.push(null)
        break
      case 'a': {
        const item = pop()
        const list = stack.at(-1)
        if (!Array.isArray(list)) return refuse('adds to no list')
        list.push(item)
        break
      }
      case 'R': {
        const given = pop()
        stack.push(made(pop(), given))
        break
      }
      case 'b': {
        const state = pop()
        build(stack.at(-1), state)
        break
      }
      default:
        refuse(`goes on with ${JSON.stringify(code)}, which no list of arrays as text has`)
    }
  }

  function known(name: string): Name {
    if (RECONSTRUCT.test(name) || name === ARRAY || name === TYPE) return new Name(name)
    return refuse(`names ${name}, and arrays of NumPy alone are read`)
  }

  function made(call: Value, given: Value): Made {
    if (!(call instanceof Name) || !Array.isArray(given)) return refuse('calls what is no type of NumPy')
    const object = new Made()
    if (call.name === TYPE) object.type = String(given[0])
    return object
  }

  /** A type has a state, too, which says nothing of bytes. */
  function build(object: Value | undefined, state: Value): void {
    if (!(object instanceof Made) || !Array.isArray(state)) refuse('sets the state of what is no array')
    else if (object.type === undefined) object.array = arrayOf(state)
  }

  function arrayOf([, shape, type, byColumns, data]: Value[]): PickledArray {
    if (!(type instanceof Made) || type.type !== 'u1') return refuse('holds an array that is not of bytes')
    if (byColumns !== false && byColumns !== 0) return refuse('holds an array by its columns')
    if (!Array.isArray(shape) || typeof data !== 'string') return refuse('holds an array without bytes')
    const sizes = shape.map(Number)
    if (sizes.reduce((product, size) => product * size, 1) !== data.length)
      return refuse(`has ${data.length} bytes in an array of ${sizes.join(' × ')}`)
    return { shape: sizes, data: Uint8Array.from(Buffer.from(data, 'latin1')) }
  }

  function whole(digits: string): number | boolean {
    if (digits === '00') return false
    if (digits === '01') return true
    const number = Number(digits.replace(/L$/, ''))
    return Number.isSafeInteger(number) ? number : refuse(`holds the number '${digits.slice(0, 20)}'`)
  }

  /** A string as Python writes it, a character a byte. */
  function unescaped(literal: string): string {
    const quoted = /^(['"])(.*)\1$/s.exec(literal)
    if (!quoted) return refuse('holds a string without quotes')
    const letters: Record<string, string> = { n: '\n', t: '\t', r: '\r' }
    return quoted[2]!.replace(/\\(x[0-9a-f]{2}|.)/gis, (_, code: string) =>
      code.length === 3 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : (letters[code] ?? code)
    )
  }
}
