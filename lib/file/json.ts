/** JSON as files hold it, read more strictly than by JSON.parse, which takes the last of two entries with one name. */

/** Deeper values make their readers' recursion overflow; no file of ours nests more than ten. */
const deepest = 64

/**
 * The value of a JSON text. Names that an object holds twice are refused, however they are spelled, as are values
 * nested deeper than 64 times. @throws Error with the reason
 */
export function parseJson(text: string): unknown {
  checkNames(text)
  return JSON.parse(text)
}

/** Looks at brackets and strings alone, so that text which is no JSON passes: its parser comes next. */
function checkNames(text: string): void {
  const open: (Set<string> | undefined)[] = [] // the names so far; undefined for a list
  let names: Set<string> | undefined
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
      case 0x5b: // [
        names = text[i] === '{' ? new Set() : undefined
        if (open.push(names) > deepest) throw new Error(`it is nested deeper than ${deepest} times`)
        break
      case 0x7d: // }
      case 0x5d: // ]
        open.pop()
        names = open.at(-1)
        break
      case 0x22: {
        const end = stringEnd(text, i)
        if (names && isName(text, end)) addName(names, text.slice(i, end))
        i = end - 1
      }
    }
  }
}

/** The place behind the closing quote. */
function stringEnd(text: string, start: number): number {
  let i = start + 1
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i + 1
}

function isName(text: string, end: number): boolean {
  let i = end
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++
  return text[i] === ':'
}

function addName(names: Set<string>, quoted: string): void {
  const name = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1)
  if (names.has(name)) throw new Error(`it holds the name '${name.slice(0, 100)}' twice`)
  names.add(name)
}
