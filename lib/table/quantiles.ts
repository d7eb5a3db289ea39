/** Quantiles of values at 0, 1/n … 1. */
export function quantilesOf(values: ArrayLike<number>, n = 1000): number[] {
  const sorted = Float64Array.from(values).sort()
  return Array.from({ length: n + 1 }, (_, i) => {
    const place = (i / n) * (sorted.length - 1)
    const low = Math.floor(place)
    const high = Math.min(low + 1, sorted.length - 1)
    return sorted[low]! + (place - low) * (sorted[high]! - sorted[low]!)
  })
}

/** Share of the values below `value`, by their quantiles: 0 below them all, 1 above. */
export function rankOf(quantiles: readonly number[], value: number): number {
  const n = quantiles.length - 1
  if (!(value > quantiles[0]!)) return 0
  if (value >= quantiles[n]!) return 1
  let [low, high] = [0, n]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (quantiles[middle]! <= value) low = middle
    else high = middle
  }
  const step = quantiles[high]! - quantiles[low]!
  return (low + (step > 0 ? (value - quantiles[low]!) / step : 0)) / n
}
