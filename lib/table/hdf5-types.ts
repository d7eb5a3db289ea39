import type { Metadata } from 'h5wasm/node'
import { type Coding, codingOf, type Field, UnreadKind } from './numpy-types'

/** HDF5's types of cells, as it gives them to programs: in little-endian order where all of a data set is of one order. */

type Library = typeof import('h5wasm/node', { with: { 'resolution-mode': 'import' }})
export type Module = Awaited<Library['ready']>
type Type = Omit<Metadata, 'shape'> & { shape?: number[] | null }

const [INTEGER, FLOAT, STRING, BITS, COMPOUND, ENUM, ARRAY] = [0, 1, 3, 4, 6, 8, 10] // H5T_class_t

/** The columns that a cell of a data set stands for: one, or those of its fields. @throws UnreadKind */
export function columnsOf(module: Module, type: Type): Field[] {
  const orders = new Set(
    leaves(type).flatMap((one) => (ordered.includes(one.type) ? [one.littleEndian] : []))
  )
  const turned = orders.size > 1
  return fields('', type, 0)

  function fields(name: string, part: Type, offset: number): Field[] {
    if (part.type === COMPOUND)
      return part.compound_type!.members.flatMap((member) =>
        fields(name === '' ? member.name : `${name}.${member.name}`, member, offset + member.offset)
      )
    if (part.type === ARRAY) {
      const { shape, ...element } = part.array_type!
      const count = (shape ?? []).reduce((product, axis) => product * axis, 1)
      return Array.from({ length: count }, (_, i) =>
        fields(count === 1 ? name : `${name}[${i}]`, element, offset + i * element.size)
      ).flat()
    }
    return [{ name, offset, coding: coding(module, part, turned && !part.littleEndian) }]
  }
}

const ordered: readonly number[] = [INTEGER, FLOAT, ENUM]

function leaves(type: Type): Type[] {
  if (type.type === COMPOUND) return type.compound_type!.members.flatMap(leaves)
  return type.type === ARRAY ? leaves(type.array_type!) : [type]
}

function coding(
  module: Module,
  { type, size, signed, vlen, enum_type: levels }: Type,
  turned: boolean
): Coding {
  const order = turned ? '>' : '<'
  if (type === INTEGER) return codingOf(`${order}${signed ? 'i' : 'u'}${size}`)
  if (type === FLOAT) return codingOf(`${order}f${size}`)
  // PyTables stores truth so.
  if (type === BITS && size === 1) return codingOf('|b1')
  if (type === ENUM) {
    const numbers = codingOf(`${order}${signed ? 'i' : 'u'}${size}`)
    const names = Object.entries(levels!.members)
    if (names.length === 2 && levels!.members.FALSE === 0 && levels!.members.TRUE === 1)
      return { ...numbers, type: { kind: 'boolean' } }
    const nameOf = new Map(names.map(([name, value]) => [Number(value), name]))
    return {
      width: size,
      type: { kind: 'text' },
      decode: (bytes) => Array.from(numbers.decode(bytes), (value) => nameOf.get(Number(value)) ?? null)
    }
  }
  if (type === STRING && !vlen) {
    const { decode, ...texts } = codingOf(`|S${size}`)
    return {
      ...texts,
      decode: (bytes) => Array.from(decode(bytes), (text) => (text as string).split('\0')[0])
    }
  }
  if (type === STRING)
    return {
      width: size,
      type: { kind: 'text' },
      decode: ({ buffer }) =>
        Array.from(new Uint32Array(buffer), (at) => (at === 0 ? '' : module.UTF8ToString(at)))
    }
  throw new UnreadKind('it holds references, bytes or lists; choose another data set with key (--key)')
}
