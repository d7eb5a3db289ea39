import type { Picture } from './picture'

/**
 * A picture cut around its middle to the proportions of the new one, and then averaged by a triangle that is twice as wide as a
 * new pixel, or as an old one where those are larger: bilinear interpolation without aliases.
 */
export function resized(picture: Picture, height: number, width: number): Picture {
  if (picture.height === height && picture.width === width) return picture
  const channels = picture.isGrey ? 1 : 3
  const share = Math.min(picture.width / width, picture.height / height)
  const across = taps(picture.width, share * width, width)
  const down = taps(picture.height, share * height, height)
  const narrow = new Float64Array(picture.height * width * channels)
  for (let row = 0; row < picture.height; row++)
    for (let column = 0; column < width; column++)
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0
        for (const { place, weight } of across[column]!)
          sum += weight * picture.levels[(row * picture.width + place) * channels + channel]!
        narrow[(row * width + column) * channels + channel] = sum
      }
  const levels = new Uint8Array(height * width * channels)
  const line = width * channels
  for (let row = 0; row < height; row++)
    for (let at = 0; at < line; at++) {
      let sum = 0
      for (const { place, weight } of down[row]!) sum += weight * narrow[place * line + at]!
      levels[row * line + at] = Math.round(sum)
    }
  return { ...picture, height, width, levels }
}

/** What each of `count` new pixels takes of old ones, of which `span` around the middle of `size` are covered; sums of 1. */
function taps(size: number, span: number, count: number): { place: number; weight: number }[][] {
  const step = span / count
  const reach = Math.max(1, step)
  return Array.from({ length: count }, (_, i) => {
    const centre = (size - span) / 2 + (i + 0.5) * step
    const found: { place: number; weight: number }[] = []
    for (
      let place = Math.max(0, Math.floor(centre - reach));
      place < Math.min(size, centre + reach);
      place++
    ) {
      const weight = 1 - Math.abs(place + 0.5 - centre) / reach
      if (weight > 0) found.push({ place, weight })
    }
    const whole = found.reduce((sum, { weight }) => sum + weight, 0)
    return found.map(({ place, weight }) => ({ place, weight: weight / whole }))
  })
}
