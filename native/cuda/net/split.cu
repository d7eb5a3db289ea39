#include "cuda/net/split.h"

namespace ffjord::cuda {
namespace {

constexpr int kThreads = 256, kLines = kThreads / 32;

// A block for 64 lines of a channel × 64 of depth; eight threads for a line of them.
// Bytes: 4 in and 4 out an entry, and those of a stage's rates where it is combined.
__global__ void __launch_bounds__(kThreads)
    split_row_octets(const __grid_constant__ SplitArguments s) {
  if (!s.groups.data->working) return;
  const int row_tile = blockIdx.x, chunk = blockIdx.y, channel = blockIdx.z;
  const int width = s.rows.depth, first = chunk * kScaleDepth + threadIdx.x % kScaleOctets * 8;
  const std::ptrdiff_t slot = s.slot.offset(s.groups);
  const float* const values = s.input.value + (s.input.value_on_tape ? slot : 0);
  const float* const tangents = s.input.tangents + (s.input.tangents_on_tape ? slot : 0);
  for (int r = threadIdx.x / kScaleOctets; r < kTileRows; r += kThreads / kScaleOctets) {
    const int row = s.rows.lines.row(row_tile * kTileRows + r);
    const float* const from =
        channel == 0 ? values + std::ptrdiff_t(row) * s.input.value_stride
                     : tangents + (std::ptrdiff_t(channel - 1) * s.batch + row) * width;
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const bool holds = row >= 0 && first + i < width;
      if (holds && channel == 0 && !s.point.has_values()) s.point.store(s.groups, row, first + i);
      x[i] = holds ? from[first + i] : 0.f;
    }
    s.rows.store(row_tile, channel, chunk, r, x);
  }
}

// A warp for each line, which it reads twice: its scale is that of its whole depth.
__global__ void __launch_bounds__(kThreads)
    split_weight_octets(const float* weights, OctetLines to) {
  const int line = blockIdx.x * kLines + warp_index(), lane = lane_index();
  if (line >= to.padded()) return;
  const float* const from = weights + std::size_t(line) * to.depth;
  const std::size_t of_tap = std::size_t(to.lines) * to.depth;
  const int depth = line < to.lines ? to.depth : 0;
  unsigned largest = 0;
  for (int tap = 0; tap < to.taps; ++tap)
    for (int k = lane; k < depth; k += 32)
      largest = max(largest, magnitude(from[tap * of_tap + k]));
#pragma unroll
  for (int step = 1; step < 32; step *= 2)
    largest = max(largest, __shfl_xor_sync(~0u, largest, step));
  const int exponent = scale_exponent(largest), tile = to.tile();
  if (lane == 0) to.down[line] = power_of_two(-exponent);
  const int octets = to.slab_count() / to.taps * kSlabOctets;  // of a tap
  for (int octet = lane; octet < to.taps * octets; octet += 32) {
    const int tap = octet / octets, first = 8 * (octet - tap * octets);
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = first + i < depth ? from[tap * of_tap + first + i] : 0.f;
    uint4 high, low;
    split_octet(x, power_of_two(exponent), high, low);
    uint4* const at =
        to.slab(line / tile, octet / kSlabOctets) + octet % kSlabOctets * tile + line % tile;
    at[0] = high;
    at[kSlabOctets * tile] = low;
  }
}

}  // namespace

void split_rows(const SplitArguments& s, const Stream& stream) {
  launch("split_row_octets", split_row_octets,
         {dim3(s.rows.lines.tiles(), s.rows.chunk_count(), 1 + s.tangents), dim3(kThreads)}, stream,
         s);
}

void split_weights(const float* weights, const OctetLines& octets, const Stream& stream) {
  launch("split_weight_octets", split_weight_octets,
         {dim3(tiles_of(octets.padded(), kLines)), dim3(kThreads)}, stream, weights, octets);
}

}  // namespace ffjord::cuda
