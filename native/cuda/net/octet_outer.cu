#include <algorithm>

#include "cuda/net/octet_outer.h"
#include "cuda/net/octet_tile.h"
#include "cuda/product/tiling.h"

namespace ffjord::cuda {
namespace {

// What is summed over rows: units of values and tangents.
struct Columns {
  const float* value;  ///< (B, value_stride)
  int value_stride;
  const float* tangents;  ///< (K, B, units); null: unit vectors
  int units;
  Groups groups;
  int batch;
  OctetLines to;  ///< a line a unit, a scale a chunk: [tile][chunk][line]
};

// A thread for 64 rows of a unit and channel. Bytes: 4 in and 4 out an entry.
__global__ void __launch_bounds__(kFlatThreads)
    split_column_octets(const __grid_constant__ Columns s) {
  const int unit = blockIdx.x * kFlatThreads + threadIdx.x, tile = s.to.tile();
  if (unit >= s.to.padded()) return;
  const int first_row = blockIdx.y * kScaleDepth, channel = blockIdx.z;
  const int chunk = channel * gridDim.y + blockIdx.y;
  const float* const from =
      channel == 0 ? s.value : s.tangents + std::size_t(channel - 1) * s.batch * s.units;
  const int stride = channel == 0 ? s.value_stride : s.units;
  const bool unit_vectors = channel > 0 && !s.tangents;
  float x[kScaleOctets][8];
  unsigned largest = 0;
#pragma unroll
  for (int octet = 0; octet < kScaleOctets; ++octet)
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int row = first_row + 8 * octet + i;
      float& entry = x[octet][i];
      entry = 0.f;
      if (unit < s.units && row < s.batch && s.groups.of_row(row).working)
        entry = unit_vectors ? float(unit == channel - 1) : from[std::size_t(row) * stride + unit];
      largest = max(largest, magnitude(entry));
    }
  const int exponent = scale_exponent(largest), line = unit % tile;
  s.to.down[(std::size_t(unit / tile) * tiles_of(s.to.depth, kScaleDepth) + chunk) * tile + line] =
      power_of_two(-exponent);
#pragma unroll
  for (int octet = 0; octet < kScaleOctets; ++octet) {
    uint4 high, low;
    split_octet(x[octet], power_of_two(exponent), high, low);
    uint4* const at =
        s.to.slab(unit / tile, 2 * chunk + octet / kSlabOctets) + octet % kSlabOctets * tile + line;
    at[0] = high;
    at[kSlabOctets * tile] = low;
  }
}

struct Outer {
  OctetLines bars, inputs;
  int slice_chunks;
  float* slices;
};

// A block for two tiles of 64 bars, `Units` inputs and a slice of the rows.
// FLOPs: 2 B (1 + K) out in. Bytes: bars once an in / Units, inputs once an out / 128.
// hot: no spills
template <class Arithmetic, int Units>
__global__ void __launch_bounds__(kOctetThreads, 1) octet_outer(const __grid_constant__ Outer s) {
  auto& memory = shared_memory<OctetMemory<Arithmetic, Units>>();
  const int chunks = s.bars.depth / kScaleDepth, first = blockIdx.z * s.slice_chunks;
  const int tile = 2 * blockIdx.x;
  const bool both = tile + 1 < s.bars.tiles();
  const auto scales = [&](const OctetLines& lines, int at) {
    return lines.down + (std::size_t(at) * chunks + first) * lines.tile();
  };
  OctetSums<Units> sums;
  multiply_octets<Arithmetic, Units, UnitScales::Chunks>(
      memory,
      {{s.bars.slab(tile, 2 * first), s.bars.slab(tile + both, 2 * first)},
       {scales(s.bars, tile), scales(s.bars, tile + both)},
       s.inputs.slab(blockIdx.y, 2 * first),
       both,
       2 * min(s.slice_chunks, chunks - first),
       scales(s.inputs, blockIdx.y)},
      sums);
  place_sums<Units>(sums, memory.tile);
  __syncthreads();
  for (int i = 0; i <= both; ++i)
    for (int e = threadIdx.x; e < kTileRows * Units; e += kOctetThreads) {
      const int j = (tile + i) * kTileRows + e / Units, k = blockIdx.y * Units + e % Units;
      if (j < s.bars.lines && k < s.inputs.lines)
        s.slices[(std::size_t(blockIdx.z) * s.bars.lines + j) * s.inputs.lines + k] =
            memory.tile[i][e / Units][e % Units];
    }
}

OctetLines bars_of(int batch, int channels, int out) {
  return {nullptr, nullptr, out, channels * tiles_of(batch, kScaleDepth) * kScaleDepth, kTileRows};
}
OctetLines inputs_of(int batch, int channels, int in) {
  return {nullptr, nullptr, in, channels * tiles_of(batch, kScaleDepth) * kScaleDepth};
}
std::size_t scales_of(const OctetLines& lines) {
  return std::size_t(lines.depth / kScaleDepth) * lines.padded();
}

template <class Arithmetic, int Units>
void start(const Outer& s, int slices, const Stream& stream) {
  launch("octet_outer", octet_outer<Arithmetic, Units>,
         {dim3(tiles_of(s.bars.tiles(), 2), s.inputs.tiles(), slices), dim3(kOctetThreads),
          sizeof(OctetMemory<Arithmetic, Units>)},
         stream, s);
}

// As many blocks as the largest cards have multiprocessors, whatever the present one has: sums must
// not depend on it. Fewer chunks are not worth a block.
constexpr int kBlocks = 132, kLeastChunks = 4;

}  // namespace

bool takes_octets(const OuterArguments& s, const CudaOptions& options) {
  return s.columns && s.taps.depth == 0 && !s.expanded && s.out > SmallTile::kRows &&
         s.in > SmallTile::kUnits && takes_tensor_cores(s.batch * (1 + s.tangents), options);
}

int octet_outer_slices(int batch, int channels, int out, int in) {
  const OctetLines bars = bars_of(batch, channels, out), inputs = inputs_of(batch, channels, in);
  const int tiles = tiles_of(bars.tiles(), 2) * inputs.tiles();
  return std::max(1, std::min(kBlocks / tiles, bars.depth / kScaleDepth / kLeastChunks));
}

std::size_t octet_outer_floats(int batch, int channels, int out, int in) {
  std::size_t floats = 0;
  for (const OctetLines& lines : {bars_of(batch, channels, out), inputs_of(batch, channels, in)})
    floats += lines.octets() * sizeof(uint4) / sizeof(float) + scales_of(lines);
  return floats;
}

void sum_octet_products(const OuterArguments& s, const Stream& stream) {
  const int channels = 1 + s.tangents;
  Outer outer{bars_of(s.batch, channels, s.out), inputs_of(s.batch, channels, s.in), 0, s.slices};
  float* memory = s.columns;
  for (OctetLines* lines : {&outer.bars, &outer.inputs}) {
    lines->slabs = reinterpret_cast<uint4*>(memory);
    memory += lines->octets() * sizeof(uint4) / sizeof(float);
  }
  for (OctetLines* lines : {&outer.bars, &outer.inputs}) {
    lines->down = memory;
    memory += scales_of(*lines);
  }
  const auto split = [&](const Columns& columns) {
    launch("split_column_octets", split_column_octets,
           {dim3(tiles_of(columns.to.padded(), kFlatThreads), tiles_of(s.batch, kScaleDepth),
                 channels),
            dim3(kFlatThreads)},
           stream, columns);
  };
  split({s.value_bar, s.out, s.tangent_bar, s.out, s.groups, s.batch, outer.bars});
  split({s.input.value, s.input.value_stride, s.input.tangents, s.in, s.groups, s.batch,
         outer.inputs});
  const int chunks = outer.bars.depth / kScaleDepth;
  outer.slice_chunks = tiles_of(chunks, s.slice_count);
  const int slices = s.slice_count;
  with_octet_arithmetic(stream, [&](auto arithmetic) {
    using Arithmetic = decltype(arithmetic);
    outer.inputs.tile() == 128 ? start<Arithmetic, 128>(outer, slices, stream)
                               : start<Arithmetic, 64>(outer, slices, stream);
  });
}

}  // namespace ffjord::cuda
