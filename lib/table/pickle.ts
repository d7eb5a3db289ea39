/** Values that Python pickled as text (protocol 0), as PyTables keeps attributes: lists, dictionaries, texts and numbers. */

export type Pickled = string | number | null | Pickled[] | Map<Pickled, Pickled>

/** @throws Error on anything else, a class or a call above all */
export function unpickled(text: string): Pickled {
  const marks: Pickled[][] = []
  const memory = new Map<string, Pickled>()
  let stack: Pickled[] = []
  let at = 0
  const line = () => {
    const end = text.indexOf('\n', at)
    if (end < 0) throw new Error('it ends early')
    const found = text.slice(at, end)
    at = end + 1
    return found
  }
  const pop = (): Pickled => {
    if (stack.length === 0) throw new Error('it takes more values than there are')
    return stack.pop()!
  }
  const sinceMark = (): Pickled[] => {
    const found = stack
    const before = marks.pop()
    if (!before) throw new Error('it has no mark')
    stack = before
    return found
  }
  const top = () => stack.at(-1)
  for (;;) {
    switch (text[at++]) {
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
          line().replace(/\\u([0-9a-f]{4})/gi, (_, code: string) =>
            String.fromCharCode(Number.parseInt(code, 16))
          )
        )
        break
      case 'S':
        stack.push(line().replace(/^(['"])(.*)\1$/, '$2'))
        break
      case 'I':
      case 'L':
      case 'F':
        stack.push(Number(line().replace(/L$/, '')))
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
      default:
        throw new Error(`it goes on with '${text[at - 1] ?? ''}'`)
    }
  }
}
