/** scripts/sass.js finds the loops of machine code, and scripts/kernel-counts.js what they cost; here of code made by hand. */
import { join } from 'node:path'

const scripts = join(__dirname, '..', 'scripts')
const { blocksOf, kernelsOf, longestWay, loopsOf, tensorClocks } = require(join(scripts, 'sass.js'))
const { blocksByRegisters, countsOf, judge } = require(join(scripts, 'kernel-counts.js'))

/** What nvdisasm prints of a kernel of these lines: `label:` or an instruction. */
function sass(name: string, lines: string[]) {
  let address = 0
  const text = lines.map((line) => {
    if (line.endsWith(':')) return line
    const printed = `        /*${address.toString(16).padStart(4, '0')}*/              ${line} ;`
    address += 16
    return printed
  })
  return [`\t.section\t.text.${name},"ax",@progbits`, `.text.${name}:`, ...text].join('\n')
}

const reported = { registers: 96, spilled: 0 }
const tensor = { threads: 256, products: 'tensor' }

/** A loop of two products, four of whose instructions are passed by where P0 holds. */
const products = [
  'S2R R0, SR_TID.X',
  '.L_x_1:',
  'ISETP.GE.AND P0, PT, R5, R0, PT',
  '@P0 BRA `(.L_x_2)',
  'F2FP.F16.F32.PACK_AB R2, R3, R4',
  'F2F.F32.F64 R9, R16',
  'I2F.U32.RP R16, UR4',
  'CALL.REL.NOINC `($__internal_0_$__cuda_sm20_div_rn_f64_full)',
  '.L_x_2:',
  'HGMMA.64x32x16.F32 R24, gdesc[UR4], R24, gsb0',
  'HGMMA.64x128x16.F32 R24, gdesc[UR4], R24, gsb0',
  'BRA.DIV UR4, `(.L_x_4)',
  '@P1 BRA `(.L_x_1)',
  'EXIT',
  '.L_x_4:',
  'SHFL.BFLY PT, R24, R24, 0x4, 0x1f',
  'BRA `(.L_x_2)',
  '$__internal_0_$__cuda_sm20_div_rn_f64_full:',
  '.L_x_3:',
  'DMUL R2, R2, R4',
  '@P2 BRA `(.L_x_3)',
  'RET.REL.NODEC R20 `(products)'
]

test('the loop of the products is counted on its longest way, without what is called and what parted lanes do', () => {
  const [code] = kernelsOf(sass('products', products))
  expect(loopsOf(blocksOf(code))).toHaveLength(1)
  expect(countsOf(code, reported, tensor)).toEqual({
    codeKiB: expect.closeTo((17 * 16) / 1024, 3),
    registers: 96,
    spilled: 0,
    blocks: 2,
    issueShare: expect.closeTo(10 / (16 + 64), 3),
    conversions: 3,
    divisions: 2,
    predicates: 1
  })
})

test('a loop within a loop counts as often as it is said to run, and of two ways the longer one', () => {
  const [code] = kernelsOf(
    sass('nest', [
      'MOV R1, R2',
      '.L_x_1:',
      'BRX R2 -0x10 (*"BRANCH_TARGETS .L_x_2,.L_x_3"*)',
      '.L_x_2:',
      'MOV R1, R2',
      'BRA `(.L_x_4)',
      '.L_x_3:',
      'MOV R1, R2',
      'MOV R1, R2',
      '.L_x_4:',
      'FFMA R1, R2, R3, R1',
      'BRA.U UP0, `(.L_x_4)',
      'BAR.SYNC.DEFER_BLOCKING 0x0',
      '@!P0 BRA `(.L_x_1)',
      'EXIT'
    ])
  )
  const blocks = blocksOf(code)
  const loops = loopsOf(blocks)
  expect(loops.map((loop: { blocks: Set<number> }) => loop.blocks.size)).toEqual([1, 5])
  const [inner, outer] = loops
  expect(longestWay(code, blocks, loops, inner)).toMatchObject({ issued: 2, products: 1 })
  // The switch, its longer case, the loop within, the barrier, the way back; a loop's head ends its case.
  expect(longestWay(code, blocks, loops, outer)).toMatchObject({ issued: 7 })
  expect(longestWay(code, blocks, loops, outer, () => 16)).toMatchObject({ issued: 5 + 2 * 16 })
  const row = { threads: 128, products: 'float32', trips: (depth: number) => [depth / 4] }
  expect(countsOf(code, reported, row)).toMatchObject({ layer: 37, meanLayer: (3 * 37 + 6) / 4 })
  expect(() => countsOf(code, reported, { ...row, trips: () => [1, 1] })).toThrow(
    '1 loops down to the products, not 2'
  )
})

test('clocks of products are those of a quarter of a multiprocessor', () => {
  expect(tensorClocks('HGMMA.64x256x16.F32')).toBe(128)
  expect(tensorClocks('HMMA.16816.F32')).toBe(4)
  expect(tensorClocks('HMMA.1688.F32.TF32')).toBe(4)
  expect(tensorClocks('FFMA')).toBe(0)
})

test('blocks of a multiprocessor', () => {
  expect(blocksByRegisters(128, 256)).toBe(2)
  expect(blocksByRegisters(129, 256)).toBe(1)
  expect(blocksByRegisters(16, 256)).toBe(8)
})

describe('a row of the table of limits', () => {
  const row = {
    kernel: 'multiply',
    instances: /Tile/,
    blocks: 2,
    limits: { issueShare: 0.6, conversions: 0 }
  }
  const counts = { blocks: 2, issueShare: 0.5, conversions: 0 }
  const exception = { since: '2026-11-30', why: 'it splits', counted: { issueShare: 2 } }

  test('within its limits says nothing', () => {
    expect(judge(row, [counts])).toEqual({ problems: [], exceptions: [] })
  })
  test('beyond them, or with fewer blocks, names what, of the worst instance', () => {
    const { problems } = judge(row, [counts, { blocks: 1, issueShare: 0.7, conversions: 0 }])
    expect(problems).toEqual([
      'multiply (Tile): a multiprocessor holds 1 blocks, not 2',
      'multiply (Tile): issueShare is 0.7, beyond the limit of 0.6'
    ])
  })
  test('without a loop of products fails', () => {
    const [code] = kernelsOf(sass('straight', ['HMMA.16816.F32 R4, R8, R2, R4', 'EXIT']))
    expect(judge(row, [countsOf(code, reported, tensor)]).problems).toEqual([
      'multiply (Tile): no loop holds its products, so that issueShare is not known',
      'multiply (Tile): no loop holds its products, so that conversions is not known'
    ])
  })
  test('an exception is printed with its date; it may not grow, nor stay when no longer needed', () => {
    const excepted = (issueShare: number) => judge({ ...row, exception }, [{ ...counts, issueShare }])
    expect(excepted(1.5)).toEqual({
      problems: [],
      exceptions: ['exception: multiply (Tile): issueShare 1.5 (limit 0.6, 2 on 2026-11-30): it splits']
    })
    expect(excepted(2.1).problems).toEqual([
      'multiply (Tile): issueShare is 2.1, worse than the 2 of its exception'
    ])
    expect(excepted(0.6).problems).toEqual([
      'multiply (Tile): issueShare is 0.6, so that it needs no exception from 0.6 any more'
    ])
  })
  test('that names no instance fails', () => {
    expect(judge(row, []).problems).toEqual(['multiply (Tile): no instance has such a name'])
  })
})
