/** Options of the program, as messages name them, and the command line's. */
const pairs: readonly [RegExp, string][] = [
  [/\bdayFirst: true or false/g, '--dates day-first or month-first'],
  [/\bexclude: \['([^']*)'\]/g, '--exclude $1'],
  [/\bpercent: true(?! \(--)/g, '--percent'],
  [/\b(invalid|missing|categorical|decimal|thousands|currency): '([^']*)'(?! \(--)/g, '--$1 $2'],
  [/\bwith key: /g, 'with --key: '],
  [/\(bounds\)/g, '(--bounds)']
]

/** A message with the flags of the command line in place of a program's options. */
export function inFlags(message: string): string {
  return pairs.reduce((text, [pattern, flag]) => text.replace(pattern, flag), message)
}
