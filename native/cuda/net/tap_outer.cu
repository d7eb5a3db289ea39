#include <algorithm>

#include "cuda/net/octet_tile.h"
#include "cuda/net/tap_outer.h"

namespace ffjord::cuda {
namespace {

constexpr int kTaps = 9, kCopies = 3, kPairs = (kTaps + 1) / 2;

/// Where the pixels of images lie among the places of a depth.
struct Places {
  Plane image;
  int images;         ///< of all channels
  int octets_of_row;  ///< and of the zeros behind it
  int octets_of_image;

  __host__ __device__ int chunks_of_image() const { return octets_of_image / kScaleOctets; }
  __host__ __device__ int chunks() const { return images * chunks_of_image(); }
  /// With a row of zeros on either side of all, which taps meet.
  __host__ __device__ int octets() const { return images * octets_of_image + 2 * octets_of_row; }
};

/// Units at those places.
struct Columns {
  const float* value;     ///< (B, pixels, units)
  const float* tangents;  ///< (K, B, pixels, units)
  int units;
  Groups groups;  ///< of the pixels
  int samples;
  Places places;
  // An octet of a copy is slab_step octets a slab and `tile` octets a part of it further on.
  int tile;
  std::size_t tile_step, copy_step, part_step, slab_step;
  int first;  ///< octets before the first image
  uint4* slabs;
  float* down;  ///< [tile][chunk][unit]

  __device__ uint4* at(int unit, int copy, int octet) const {
    const int place = first + octet;
    return slabs + unit / tile * tile_step + copy * copy_step + place / kSlabOctets * slab_step +
           place % kSlabOctets * tile + unit % tile;
  }
};

constexpr int kThreads = 256, kUnits = 64, kParts = kThreads / kUnits;

// A block for an image × 64 units, which it reads twice: its scale is that of the image.
// Copies are moved by a place each, so that a thread loads what three of an octet share once.
// Bytes: 4 in twice an entry, 4 out an entry and copy.
template <int Copies>
__global__ void __launch_bounds__(kThreads) split_pixel_octets(const __grid_constant__ Columns s) {
  using Largest = unsigned[kParts][kUnits];
  auto& largest = shared_memory<Largest>();
  const Places& at = s.places;
  const int image = blockIdx.x, part = threadIdx.x / kUnits;
  const int unit = blockIdx.y * kUnits + threadIdx.x % kUnits;
  const int channel = image / s.samples, sample = image - channel * s.samples;
  const int pixels = at.image.height * at.image.width;
  const bool holds = unit < s.units && s.groups.of_row(sample * pixels).working;
  const std::size_t first = std::size_t(sample) * pixels * s.units + (holds ? unit : 0);
  const float* const from =
      first + (channel == 0 ? s.value
                            : s.tangents + std::size_t(channel - 1) * s.samples * pixels * s.units);
  unsigned own = 0;
  if (holds)
#pragma unroll 8
    for (int pixel = part; pixel < pixels; pixel += kParts)
      own = max(own, magnitude(from[std::size_t(pixel) * s.units]));
  largest[part][threadIdx.x % kUnits] = own;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kParts; ++i) own = max(own, largest[i][threadIdx.x % kUnits]);
  const int exponent = scale_exponent(own);
  const float up = power_of_two(exponent);
  for (int chunk = part; chunk < at.chunks_of_image(); chunk += kParts)
    s.down[(std::size_t(unit / s.tile) * at.chunks() + image * at.chunks_of_image() + chunk) *
               s.tile +
           unit % s.tile] = power_of_two(-exponent);
  // Zeros before the first image and behind the last belong to these.
  const int begin = image == 0 ? -s.first : 0;
  const int end = at.octets_of_image + (image == at.images - 1 ? s.first : 0);
#pragma unroll 1
  for (int octet = begin + part; octet < end; octet += kParts) {
    const int y = octet < 0 ? at.image.height : octet / at.octets_of_row;
    const int x = 8 * (octet - y * at.octets_of_row) - Copies / 2;
    const int pixel = y * at.image.width + x;
    float entries[8 + Copies - 1];
#pragma unroll
    for (int i = 0; i < 8 + Copies - 1; ++i) {
      const bool inside =
          holds && y < at.image.height && unsigned(x + i) < unsigned(at.image.width);
      entries[i] = inside ? from[std::size_t(pixel + i) * s.units] : 0.f;
    }
    uint4* const to = s.at(unit, 0, image * at.octets_of_image + octet);
#pragma unroll
    for (int copy = 0; copy < Copies; ++copy) {
      float moved[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) moved[i] = entries[copy + i];
      uint4 high, low;
      split_octet(moved, up, high, low);
      to[copy * s.copy_step] = high;
      to[copy * s.copy_step + s.part_step] = low;
    }
  }
}

struct TapOuter {
  Columns inputs, bars;
  int slice_chunks;
  float* slices;
  OctetTaps alone = {};
};

// A block for two taps of 64 inputs, `Units` cotangents and a slice of the places.
// FLOPs: 2 · places · 9 out in. Bytes: inputs 9 out / Units times, cotangents 5 in / 64.
// hot: no spills
template <class Arithmetic, int Units>
__global__ void __launch_bounds__(kOctetThreads, octet_blocks<Arithmetic, Units>)
    tap_outer(const __grid_constant__ TapOuter s) {
  auto& memory = shared_memory<OctetMemory<Arithmetic, Units>>();
  const int tap = blockIdx.x % kPairs * 2, tile = blockIdx.x / kPairs;
  const bool both = tap + 1 < kTaps;
  const int chunks = s.inputs.places.chunks(), first = blockIdx.z * s.slice_chunks;
  const auto inputs_at = [&](int at) {
    const int rows = at / kCopies - 1;
    return s.inputs.at(tile * kTileRows, at % kCopies,
                       first * kScaleOctets + rows * s.inputs.places.octets_of_row);
  };
  const auto scales = [&](const Columns& columns, int at) {
    return columns.down + (std::size_t(at) * chunks + first) * columns.tile;
  };
  OctetSums<Units> sums;
  multiply_octets<Arithmetic, Units, UnitScales::Chunks>(
      memory,
      {{inputs_at(tap), inputs_at(tap + both)},
       {scales(s.inputs, tile), scales(s.inputs, tile)},
       s.bars.at(blockIdx.y * Units, 0, first * kScaleOctets),
       both,
       2 * min(s.slice_chunks, chunks - first),
       {kTileRows, static_cast<int>(s.inputs.part_step), kSlabOctets * kTileRows, kTileRows},
       s.alone,
       scales(s.bars, blockIdx.y)},
      sums);
  place_sums<Units>(sums, memory.tile);
  __syncthreads();
  const int c = threadIdx.x % kTileRows, in = tile * kTileRows + c;
  if (in >= s.inputs.units) return;
  for (int i = 0; i <= both; ++i)
    for (int u = threadIdx.x / kTileRows; u < Units; u += kOctetThreads / kTileRows) {
      const int out = blockIdx.y * Units + u;
      if (out < s.bars.units)
        s.slices[((std::size_t(blockIdx.z) * s.bars.units + out) * kTaps + tap + i) *
                     s.inputs.units +
                 in] = memory.tile[i][c][u];
    }
}

Places places_of(const OuterArguments& s) {
  const int octets_of_row = tiles_of(s.image.width + 1, 8);
  const int rows = s.image.height + 1;
  const int samples = s.batch / static_cast<int>(s.image.size());
  return {s.image, samples * (1 + s.tangents), octets_of_row,
          tiles_of(rows * octets_of_row, kScaleOctets) * kScaleOctets};
}

Columns inputs_of(const OuterArguments& s) {
  Columns c{};
  c.value = s.input.value;
  c.tangents = s.input.tangents;
  c.units = s.in / kTaps;
  c.places = places_of(s);
  c.tile = kTileRows;
  c.slab_step = std::size_t(kSlabOctets) * kTileRows;
  // Whole slabs, so that those of a copy follow each other.
  c.part_step = tiles_of(c.places.octets(), kSlabOctets) * c.slab_step;
  c.copy_step = 2 * c.part_step;
  c.tile_step = kCopies * c.copy_step;
  c.first = c.places.octets_of_row;
  return c;
}

Columns bars_of(const OuterArguments& s) {
  Columns c{};
  c.value = s.value_bar;
  c.tangents = s.tangent_bar;
  c.units = s.out;
  c.places = places_of(s);
  c.tile = s.out > 64 ? 128 : 64;
  c.part_step = std::size_t(kSlabOctets) * c.tile;
  c.slab_step = 2 * c.part_step;
  c.tile_step = c.copy_step = c.places.chunks() * (kScaleOctets / kSlabOctets) * c.slab_step;
  return c;
}

int tiles_in(const Columns& c) { return tiles_of(c.units, c.tile); }
std::size_t octets_in(const Columns& c) { return tiles_in(c) * c.tile_step; }
std::size_t scales_in(const Columns& c) {
  return std::size_t(tiles_in(c)) * c.tile * c.places.chunks();
}

template <class Arithmetic, int Units>
void start(const TapOuter& s, int slices, const Stream& stream) {
  launch("tap_outer", tap_outer<Arithmetic, Units>,
         {dim3(kPairs * tiles_in(s.inputs), tiles_in(s.bars), slices), dim3(kOctetThreads),
          sizeof(OctetMemory<Arithmetic, Units>)},
         stream, s);
}

template <int Copies>
void split(const Columns& c, const Stream& stream) {
  launch("split_pixel_octets", split_pixel_octets<Copies>,
         {dim3(c.places.images, tiles_in(c) * c.tile / kUnits), dim3(kThreads),
          kParts * kUnits * sizeof(unsigned)},
         stream, c);
}

// Two blocks a multiprocessor of the largest cards, whatever the present one has: sums must not
// depend on it. Fewer chunks are not worth a block.
constexpr int kBlocks = 264, kLeastChunks = 4;

}  // namespace

int tap_outer_slices(const OuterArguments& s) {
  const Columns inputs = inputs_of(s), bars = bars_of(s);
  const int tiles = kPairs * tiles_in(inputs) * tiles_in(bars);
  return std::max(1, std::min(kBlocks / tiles, bars.places.chunks() / kLeastChunks));
}

std::size_t tap_outer_floats(const OuterArguments& s) {
  std::size_t floats = 0;
  for (const Columns& c : {inputs_of(s), bars_of(s)})
    floats += octets_in(c) * sizeof(uint4) / sizeof(float) + scales_in(c);
  return floats;
}

void sum_tap_products(const OuterArguments& s, const Stream& stream) {
  TapOuter outer{inputs_of(s), bars_of(s), 0, s.slices};
  float* memory = s.columns;
  for (Columns* c : {&outer.inputs, &outer.bars}) {
    c->groups = s.groups;
    c->samples = c->places.images / (1 + s.tangents);
    c->slabs = reinterpret_cast<uint4*>(memory);
    memory += octets_in(*c) * sizeof(uint4) / sizeof(float);
  }
  for (Columns* c : {&outer.inputs, &outer.bars}) {
    c->down = memory;
    memory += scales_in(*c);
  }
  split<kCopies>(outer.inputs, stream);
  split<1>(outer.bars, stream);
  outer.slice_chunks = tiles_of(outer.bars.places.chunks(), s.slice_count);
  with_octet_arithmetic(stream, [&](auto arithmetic) {
    using Arithmetic = decltype(arithmetic);
    outer.bars.tile == 128 ? start<Arithmetic, 128>(outer, s.slice_count, stream)
                           : start<Arithmetic, 64>(outer, s.slice_count, stream);
  });
}

}  // namespace ffjord::cuda
