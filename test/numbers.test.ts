import { RowRandom } from '../lib/data/random'
import { POWER, parseNumbers } from '../lib/table/numbers'

const parse = (text: string, width = 2, delimiter = ',') => {
  const numbers = parseNumbers(Buffer.from(text), delimiter, width)
  return numbers && [...numbers.values]
}

test('numbers of every form, as the language reads them', () => {
  const random = new RowRandom(1)
  const texts = [
    '0',
    '-0',
    '1.',
    '.5',
    '+3',
    '1e5',
    '1E-5',
    '-2.5e+3',
    '9007199254740991',
    '1234567890123456.25',
    '1e-300',
    '1e308',
    '5e-324',
    '0.1'
  ]
  for (let i = 0; i < 2000; i++) {
    random.seek(i)
    const value = (random.uniform() - 0.5) * 10 ** (20 * random.uniform() - 10)
    texts.push(String(value), value.toPrecision(7), value.toExponential(3), value.toFixed(3))
  }
  expect(parse(`${texts.join('\n')}\n`, 1)).toEqual(texts.map(Number))
})

test('lines end in every way', () => {
  expect(parse('1,2\n3,4\n')).toEqual([1, 2, 3, 4])
  expect(parse('1,2\r\n 3 , 4\r\n')).toEqual([1, 2, 3, 4])
  expect(parse('1\t2\n3\t4', 2, '\t')).toEqual([1, 2, 3, 4])
})

test.each([
  '1\n',
  '1,2,3\n',
  '1,2\n\n3,4\n',
  '1,\n',
  ',2\n',
  '1,a\n',
  '1,2e\n',
  '1,"2"\n',
  '1,2 3\n',
  '1,2\n3\n',
  '1,NaN\n',
  '1,--2\n',
  '1,.\n'
])('%j is left to others', (text) => expect(parse(text)).toBeUndefined())

test('whole numbers that float64 may not hold are left to a parser that sees their text', () => {
  expect(parse('1\n9007199254740993\n', 1)).toBeUndefined()
})

test('how many digits the numbers of a column have after the point', () => {
  const { digits } = parseNumbers(Buffer.from('1.50,2\n-0.25,3.125\n7.00,1e2\n'), ',', 2)!
  expect([...digits.fewest]).toEqual([2, 0])
  expect([...digits.most]).toEqual([2, POWER])
  const codes = parseNumbers(Buffer.from('007,10\n-123,0.5\n'), ',', 2)!.digits
  expect([...codes.shortest, ...codes.longest, ...codes.padded]).toEqual([3, 1, 3, 2, 1, 0])
})
