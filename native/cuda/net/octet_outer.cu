#include <algorithm>
#include <utility>

#include "cuda/net/octet_outer.h"
#include "cuda/net/octet_tile.h"
#include "cuda/net/operands.h"
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
  Taps taps;      ///< whose depth are the units then
  OctetLines to;  ///< a line a unit, a scale a chunk: [tile][chunk][line]
};

// A thread for 64 rows of a unit and channel. Bytes: 4 in and 4 out an entry.
template <Geometry geometry>
__global__ void __launch_bounds__(kFlatThreads)
    split_column_octets(const __grid_constant__ Columns s) {
  const int unit = blockIdx.x * kFlatThreads + threadIdx.x, tile = s.to.tile();
  const int first_row = blockIdx.y * kScaleDepth, channel = blockIdx.z;
  constexpr bool at_taps = geometry == Geometry::Pixels;
  using Places = PixelPlace[kScaleDepth];
  const PixelPlace* places_of_rows = nullptr;
  if constexpr (at_taps) {
    Places& places = shared_memory<Places>();
    places_of_rows = places;
    const int row = first_row + threadIdx.x;
    if (threadIdx.x < kScaleDepth)
      places[threadIdx.x] =
          row < s.batch && s.groups.of_row(row).working ? s.taps.place(row) : PixelPlace{};
    __syncthreads();
  }
  if (unit >= s.to.padded()) return;
  const int chunk = channel * gridDim.y + blockIdx.y;
  const std::size_t size = at_taps ? std::size_t(s.taps.by_pixels(s.batch)) * s.taps.size
                                   : std::size_t(s.batch) * s.units;
  const float* const from = channel == 0 ? s.value : s.tangents + (channel - 1) * size;
  const int stride = channel == 0 ? s.value_stride : s.units;
  const bool unit_vectors = channel > 0 && !s.tangents;
  const Tap tap = at_taps ? s.taps.tap(unit) : Tap{};
  float x[kScaleOctets][8];
  unsigned largest = 0;
#pragma unroll
  for (int octet = 0; octet < kScaleOctets; ++octet)
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int row = first_row + 8 * octet + i;
      float& entry = x[octet][i];
      entry = 0.f;
      if constexpr (at_taps) {
        const PixelPlace& place = places_of_rows[8 * octet + i];
        if (unit < s.units && tap.meets(place)) entry = from[place.first + tap.entry];
      } else if (unit < s.units && row < s.batch && s.groups.of_row(row).working) {
        entry = unit_vectors ? float(unit == channel - 1) : from[std::size_t(row) * stride + unit];
      }
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

// P of two operands, rows × units: of cotangents and inputs, or, with `tap_units`, of inputs and of
// cotangents of so many units at taps.
struct Outer {
  OctetLines rows, units;
  int tap_units;
  int slice_chunks;
  float* slices;
  OctetTaps alone = {};

  /// Where an entry goes: [slice][out][taps · in].
  __device__ std::size_t place(int slice, int j, int k) const {
    const std::size_t first = std::size_t(slice) * rows.lines * units.lines;
    if (tap_units == 0) return first + std::size_t(j) * units.lines + k;
    const int tap = k / tap_units, out = k - tap * tap_units, taps = units.lines / tap_units;
    return first + (std::size_t(out) * taps + tap) * rows.lines + j;
  }
};

// A block for two tiles of 64 rows of P, `Units` units and a slice of the depth.
// FLOPs: 2 depth rows units. Bytes: rows once a units / Units, units once a rows / 128.
// hot: no spills
template <class Arithmetic, int Units>
__global__ void __launch_bounds__(kOctetThreads, octet_blocks<Arithmetic, Units>)
    octet_outer(const __grid_constant__ Outer s) {
  auto& memory = shared_memory<OctetMemory<Arithmetic, Units>>();
  const int chunks = s.rows.depth / kScaleDepth, first = blockIdx.z * s.slice_chunks;
  const int tile = 2 * blockIdx.x;
  const bool both = tile + 1 < s.rows.tiles();
  const auto scales = [&](const OctetLines& lines, int at) {
    return lines.down + (std::size_t(at) * chunks + first) * lines.tile();
  };
  OctetSums<Units> sums;
  multiply_octets<Arithmetic, Units, UnitScales::Chunks>(
      memory,
      {{s.rows.slab(tile, 2 * first), s.rows.slab(tile + both, 2 * first)},
       {scales(s.rows, tile), scales(s.rows, tile + both)},
       s.units.slab(blockIdx.y, 2 * first),
       both,
       2 * min(s.slice_chunks, chunks - first),
       OctetSteps::of(kTileRows),
       s.alone,
       scales(s.units, blockIdx.y)},
      sums);
  place_sums<Units>(sums, memory.tile);
  __syncthreads();
  const int unit = threadIdx.x % Units, k = blockIdx.y * Units + unit;
  if (k >= s.units.lines) return;
  for (int i = 0; i <= both; ++i)
    for (int r = threadIdx.x / Units; r < kTileRows; r += kOctetThreads / Units) {
      const int j = (tile + i) * kTileRows + r;
      if (j >= s.rows.lines) continue;
      s.slices[s.place(blockIdx.z, j, k)] = memory.tile[i][r][unit];
    }
}

OctetLines lines_of(const OuterArguments& s, int units, int most) {
  const int chunks = (1 + s.tangents) * tiles_of(s.batch, kScaleDepth);
  return {nullptr, nullptr, units, chunks * kScaleDepth, most};
}
Outer outer_of(const OuterArguments& s, OuterWay way) {
  const bool at_bars = way == OuterWay::BarTaps;
  const int taps = s.taps.depth > 0 ? s.taps.depth / s.taps.channels : 1;
  Outer outer;
  outer.rows = lines_of(s, at_bars ? s.in / taps : s.out, kTileRows);
  outer.units = lines_of(s, at_bars ? s.out * taps : s.in, 128);
  outer.tap_units = at_bars ? s.out : 0;
  outer.slices = s.slices;
  return outer;
}
std::size_t scales_of(const OctetLines& lines) {
  return std::size_t(lines.depth / kScaleDepth) * lines.padded();
}

template <class Arithmetic, int Units>
void start(const Outer& s, int slices, const Stream& stream) {
  launch("octet_outer", octet_outer<Arithmetic, Units>,
         {dim3(tiles_of(s.rows.tiles(), 2), s.units.tiles(), slices), dim3(kOctetThreads),
          sizeof(OctetMemory<Arithmetic, Units>)},
         stream, s);
}

template <Geometry geometry>
void split(const Columns& s, int channels, const Stream& stream) {
  launch("split_column_octets", split_column_octets<geometry>,
         {dim3(tiles_of(s.to.padded(), kFlatThreads), tiles_of(s.batch, kScaleDepth), channels),
          dim3(kFlatThreads), geometry == Geometry::Pixels ? kScaleDepth * sizeof(PixelPlace) : 0},
         stream, s);
}

// As many blocks as the largest cards have multiprocessors, whatever the present one has: sums must
// not depend on it. Fewer chunks are not worth a block.
constexpr int kBlocks = 132, kLeastChunks = 4;

}  // namespace

OuterWay outer_way(const OuterArguments& s, const CudaOptions& options) {
  if (s.expanded || !takes_tensor_cores(s.batch * (1 + s.tangents), options))
    return OuterWay::Loaders;
  if (s.taps.depth == 0)
    return s.out > SmallTile::kRows && s.in > SmallTile::kUnits ? OuterWay::Rows
                                                                : OuterWay::Loaders;
  if (s.image.size() == 0) return OuterWay::Loaders;
  // One tap's tile of 64 × 64 that few units do not fill is multiplied nine times; taps as units
  // fill it better, and their operand is short.
  const int in = s.taps.channels;
  if (std::max(in, s.out) <= SmallTile::kUnits) return OuterWay::Loaders;
  return in <= kMostTapUnits      ? OuterWay::InputTaps
         : s.out <= kMostTapUnits ? OuterWay::BarTaps
                                  : OuterWay::Taps;
}

int octet_outer_slices(const OuterArguments& s, OuterWay way) {
  const Outer outer = outer_of(s, way);
  const int tiles = tiles_of(outer.rows.tiles(), 2) * outer.units.tiles();
  return std::max(1, std::min(kBlocks / tiles, outer.rows.depth / kScaleDepth / kLeastChunks));
}

std::size_t octet_outer_floats(const OuterArguments& s, OuterWay way) {
  const Outer outer = outer_of(s, way);
  std::size_t floats = 0;
  for (const OctetLines& lines : {outer.rows, outer.units})
    floats += lines.octets() * sizeof(uint4) / sizeof(float) + scales_of(lines);
  return floats;
}

void sum_octet_products(const OuterArguments& s, OuterWay way, const Stream& stream) {
  Outer outer = outer_of(s, way);
  float* memory = s.columns;
  for (OctetLines* lines : {&outer.rows, &outer.units}) {
    lines->slabs = reinterpret_cast<uint4*>(memory);
    memory += lines->octets() * sizeof(uint4) / sizeof(float);
  }
  for (OctetLines* lines : {&outer.rows, &outer.units}) {
    lines->down = memory;
    memory += scales_of(*lines);
  }
  const int channels = 1 + s.tangents;
  Columns bars{s.value_bar, s.out, s.tangent_bar, s.out, s.groups, s.batch, {}, outer.rows};
  Columns inputs{s.input.value, s.input.value_stride, s.input.tangents, s.in, s.groups, s.batch, {},
                 outer.units};
  if (way == OuterWay::Rows) {
    split<Geometry::Rows>(bars, channels, stream);
    split<Geometry::Rows>(inputs, channels, stream);
  } else if (way == OuterWay::InputTaps) {
    inputs.taps = s.taps;
    split<Geometry::Rows>(bars, channels, stream);
    split<Geometry::Pixels>(inputs, channels, stream);
  } else {
    bars.taps = s.taps_back;
    bars.units = outer.units.lines;
    std::swap(bars.to, inputs.to);
    inputs.units = outer.rows.lines;
    split<Geometry::Pixels>(bars, channels, stream);
    split<Geometry::Rows>(inputs, channels, stream);
  }
  outer.slice_chunks = tiles_of(outer.rows.depth / kScaleDepth, s.slice_count);
  const int slices = s.slice_count;
  with_octet_arithmetic(stream, [&](auto arithmetic) {
    using Arithmetic = decltype(arithmetic);
    outer.units.tile() == 128 ? start<Arithmetic, 128>(outer, slices, stream)
                              : start<Arithmetic, 64>(outer, slices, stream);
  });
}

}  // namespace ffjord::cuda
