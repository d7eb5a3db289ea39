import { sizeOf } from '../native/batch'
import { fail } from '../native/check'
import type { NetLayer } from './options'

/** The nets of the paper's autoencoders: gated convolutions of 5 × 5, and one that takes the whole of the last 7 × 7, or 7 × 5. */

const gated = { type: 'convolution', kernel: 5, padding: 2, gated: true } as const
const larger = { stride: 2, outputPadding: 1, transposed: true } as const

interface Nets {
  encoder: NetLayer[]
  decoder: NetLayer[]
  head: NetLayer[]
}

/** @throws FfjordError INVALID_OPTION for images of another size. */
export function publishedNets(shape: readonly number[], likelihood: 'bernoulli' | 'categorical'): Nets {
  const [channels = 0, height = 0, width = 0] = shape
  if (shape.length !== 3 || height % 4 !== 0 || width % 4 !== 0)
    fail(
      'INVALID_OPTION',
      `the standard encoder is for images whose sides are multiples of 4, not [${shape}]; give encoder, decoder and head`
    )
  const kernel = [height / 4, width / 4] as const
  const whole = { ...gated, kernel, padding: 0 }
  const same = { ...gated, transposed: true }
  return {
    encoder: [
      { ...gated, channels: 32 },
      { ...gated, channels: 32, stride: 2 },
      { ...gated, channels: 64 },
      { ...gated, channels: 64, stride: 2 },
      { ...gated, channels: 64 },
      { ...whole, channels: 256 }
    ],
    decoder: [
      { ...whole, channels: 64, transposed: true },
      { ...same, channels: 64 },
      { ...gated, ...larger, channels: 32 },
      { ...same, channels: 32 },
      { ...gated, ...larger, channels: 32 },
      { ...same, channels: 32 }
    ],
    head:
      likelihood === 'bernoulli'
        ? [{ type: 'convolution', kernel: 1, channels }]
        : [
            { type: 'convolution', kernel: 5, padding: 2, channels: 256 },
            { type: 'convolution', kernel: 1, channels: (256 * sizeOf(shape)) / (height * width) }
          ]
  }
}
