#include <algorithm>

#include "cuda/net/octet_outer.h"
#include "cuda/net/operands.h"
#include "cuda/net/tap_outer.h"
#include "cuda/net/tile_rows.h"
#include "cuda/net/weight_gradient.h"
#include "cuda/step/row_lanes.h"

namespace ffjord::cuda {
namespace {

// What B of a tile of P is made of: entry k of a row's input, or of a pixel's at its taps.
struct InputColumns {
  const OuterArguments& s;

  __device__ float at(int channel, int row, int k) const {
    const RowChannels inputs{
        s.input.value, s.input.value_stride, s.input.tangents, s.batch, s.in, nullptr, 1};
    if (channel > 0 && !s.input.tangents) return k == channel - 1 ? 1.f : 0.f;
    return inputs.plain(channel, row, k);
  }
  __device__ float at_tap(int channel, int row, int k) const {
    const Taps& taps = s.taps;
    const Tap tap = taps.tap(k);
    const PixelPlace place = taps.place(row);
    if (!tap.meets(place)) return 0.f;
    const std::size_t size = std::size_t(taps.by_pixels(s.batch)) * taps.size;
    const float* from = channel == 0 ? s.input.value : s.input.tangents + (channel - 1) * size;
    return from[place.first + tap.entry];
  }
};

// Each block makes a tile of P over the rows and channels of one slice: bar aᵀ and, of a blend, t
// bar aᵀ.
template <class Tile, int Products, Geometry geometry>
__global__ void __launch_bounds__(Tile::kThreads)
    outer_products(const __grid_constant__ OuterArguments s) {
  const int first_j = blockIdx.x * Tile::kRows, first_k = blockIdx.y * Tile::kUnits;
  const int first_row = blockIdx.z * s.slice_rows;
  const int rows = min(s.slice_rows, s.batch - first_row);
  const RowChannels bars{s.value_bar, s.out, s.tangent_bar, s.batch, s.out, nullptr, 1};
  const InputColumns inputs{s};
  Sums<Tile, Products> sums;
  multiply_tile<Tile, Products, Order::AlongRows>(
      shared_memory<ProductMemory<Tile, Products>>(), rows * (1 + s.tangents),
      [&](int product, int r, int index) {
        const int row = first_row + index % rows, channel = index / rows, j = first_j + r;
        if (j >= s.out || !s.groups.of_row(row).working) return 0.f;
        const float bar = bars.plain(channel, row, j);
        return product == 0 ? bar : s.time[row / s.groups.rows] * bar;
      },
      [&](int index, int u) {
        const int row = first_row + index % rows, channel = index / rows, k = first_k + u;
        if (k >= s.in || !s.groups.of_row(row).working) return 0.f;
        return geometry == Geometry::Pixels ? inputs.at_tap(channel, row, k)
                                            : inputs.at(channel, row, k);
      },
      sums);
  const int depth = Products * s.in;
#pragma unroll
  for (int product = 0; product < Products; ++product)
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j) {
        const int row = first_j + Tile::row(i), k = first_k + Tile::unit(j);
        if (row < s.out && k < s.in)
          s.slices[(std::size_t(blockIdx.z) * s.out + row) * depth + product * s.in + k] =
              sums[product][i][j];
      }
}

template <class Tile, int Products, Geometry geometry>
void start(const OuterArguments& s, const Stream& stream) {
  launch("outer_products", outer_products<Tile, Products, geometry>,
         tile_shape<Tile, ProductMemory<Tile, Products>>(s.out, s.in, s.slice_count), stream, s);
}

// One thread for each entry of (out, taps · in).
__global__ void add_slices(Layer layer, const float* slices, int slice_count, float* gradient) {
  const std::size_t entry = flat_index(), in = std::size_t(layer.taps()) * layer.in();
  if (entry >= layer.out() * in) return;
  const std::size_t j = entry / in, k = entry % in, depth = layer.depth();
  float sum = 0.f, timed = 0.f;
  for (int slice = 0; slice < slice_count; ++slice) {
    const float* row = slices + (std::size_t(slice) * layer.out() + j) * depth;
    sum += row[k];
    if (layer.expanded()) timed += row[in + k];
  }
  const int channel = layer.first_input() + static_cast<int>(k % layer.in());
  const std::size_t at =
      layer.weight_place(static_cast<int>(j), channel, static_cast<int>(k / layer.in()));
  gradient[layer.offsets.weight + at] += sum - timed;
  if (layer.expanded()) gradient[layer.offsets.weight1 + at] += timed;
}

__device__ int tiles_in(const UnitSumArguments& s, const Layer& layer) {
  if (s.tiles > 0) return s.tiles;
  const int rows = s.batch * layer.pixels();
  return tiles_of(
      rows, takes_large_tiles(s.groups, rows, layer.out()) ? LargeTile::kRows : SmallTile::kRows);
}

// Lanes for each unit of the layers: one, or as many as tiles of pixels are worth.
template <int Lanes>
__global__ void __launch_bounds__(kRowThreads) add_unit_gradients(UnitSumArguments s) {
  const RowLane<Lanes> lane;
  const int unit = min(s.first_unit + lane.row, s.end_unit - 1);
  int l = s.first_layer;
  while (l + 1 < s.end_layer && s.layers[l + 1].unit <= unit) ++l;
  const Layer& layer = s.layers[l];
  const int j = unit - layer.unit;
  float totals[kBeta] = {};
  for (int kind = 0; kind < (layer.gated() ? kBeta : kLogit); ++kind) {
    const float* parts = s.unit_sums + std::size_t(kind) * s.sum_tiles * s.units + unit;
    const int tiles = tiles_in(s, layer);
    for (int tile = lane.lane; tile < tiles; tile += Lanes)
      totals[kind] += parts[std::size_t(tile) * s.units];
  }
  for (float& total : totals) total = lane.sum(total);
  if (lane.lane > 0 || s.first_unit + lane.row >= s.end_unit) return;
  const LayerOffsets& at = layer.offsets;
  if (layer.expanded()) {
    s.gradient[at.bias + j] += totals[kGatedValue] - totals[kTimedValue];
    s.gradient[at.bias1 + j] += totals[kTimedValue];
  } else if (!layer.hyper()) {
    s.gradient[at.bias + j] += totals[kGatedValue];
  }
  if (layer.shifted()) s.gradient[at.shift + j] += totals[kTimedValue];
  if (layer.takes_time() && !layer.has_planes())
    s.gradient[at.weight + std::size_t(j) * layer.weight_stride()] += totals[kTimedValue];
  if (layer.gated()) {
    s.gradient[at.gate_bias + j] += totals[kLogit];
    s.gradient[at.gate_weight + j] += totals[kTimedLogit];
  }
}

// One block for each layer adds up over units and tiles, by the fixed tree of its threads.
__global__ void add_betas(UnitSumArguments s) {
  const Layer& layer = s.layers[s.first_layer + blockIdx.x];
  if (layer.offsets.beta == kAbsent) return;
  using Parts = float[kFlatThreads];
  Parts& parts = shared_memory<Parts>();
  const int tiles = tiles_in(s, layer);
  float sum = 0.f;
  for (int e = threadIdx.x; e < tiles * layer.out(); e += kFlatThreads)
    sum += s.unit_sums[(std::size_t(kBeta) * s.sum_tiles + e / layer.out()) * s.units + layer.unit +
                       e % layer.out()];
  parts[threadIdx.x] = sum;
  for (unsigned half = kFlatThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x == 0) s.gradient[layer.offsets.beta] += parts[0];
}

bool takes_large(const OuterArguments& s) {
  return s.out > SmallTile::kRows && s.in > SmallTile::kUnits;
}

// Enough blocks for the largest cards, whatever the present one is: sums must not depend on it.
constexpr int kBlocks = 264, kMostSlices = 64;

int slices_for(int batch, int out, int in) {
  const int tile =
      out > SmallTile::kRows && in > SmallTile::kUnits ? LargeTile::kRows : SmallTile::kRows;
  const int tiles = tiles_of(out, tile) * tiles_of(in, tile);
  return std::clamp(std::min(kBlocks / tiles, tiles_of(batch, 64)), 1, kMostSlices);
}

int prepared_slices(const OuterArguments& s, OuterWay way) {
  return way == OuterWay::Taps ? tap_outer_slices(s) : octet_outer_slices(s, way);
}

}  // namespace

void cut_slices(OuterArguments& s, bool each_group, const CudaOptions& options) {
  if (each_group && s.groups.count > 1) s.columns = nullptr;
  const OuterWay way = s.columns ? outer_way(s, options) : OuterWay::Loaders;
  if (way != OuterWay::Loaders) {
    s.slice_count = prepared_slices(s, way);
    return;
  }
  s.columns = nullptr;
  if (each_group && s.groups.count > 1) {
    s.slice_rows = s.groups.rows;
  } else {
    s.slice_rows = tiles_of(s.batch, slices_for(s.batch, s.out, s.in));
  }
  s.slice_count = tiles_of(s.batch, s.slice_rows);
}

std::size_t outer_columns(const OuterArguments& s, const CudaOptions& options) {
  const OuterWay way = outer_way(s, options);
  return way == OuterWay::Loaders ? 0
         : way == OuterWay::Taps  ? tap_outer_floats(s)
                                  : octet_outer_floats(s, way);
}

std::size_t outer_slices(const OuterArguments& s, const CudaOptions& options) {
  const OuterWay way = outer_way(s, options);
  return way == OuterWay::Loaders ? 0 : std::size_t(prepared_slices(s, way)) * s.out * s.depth();
}

std::size_t most_slice_floats(int batch, int out, int in, bool expanded, int groups) {
  const std::size_t depth = expanded ? 2 * in : in;
  return std::size_t(std::max(slices_for(batch, out, in), groups)) * out * depth;
}

void sum_outer_products(const OuterArguments& s, const Stream& stream) {
  if (s.columns) {
    const OuterWay way = outer_way(s, stream.options());
    return way == OuterWay::Taps ? sum_tap_products(s, stream) : sum_octet_products(s, way, stream);
  }
  const auto start_tile = [&]<class Tile, Geometry geometry>() {
    s.expanded ? start<Tile, 2, geometry>(s, stream) : start<Tile, 1, geometry>(s, stream);
  };
  if (s.taps.depth > 0)
    return with_tile(
        takes_large(s), s.slice_rows * (1 + s.tangents), stream.options(),
        [&](auto tile) { start_tile.template operator()<decltype(tile), Geometry::Pixels>(); });
  takes_large(s) ? start_tile.template operator()<LargeTile, Geometry::Rows>()
                 : start_tile.template operator()<SmallTile, Geometry::Rows>();
}

void add_weight_gradient(const Layer& layer, const OuterArguments& sums, float* gradient,
                         const Stream& stream) {
  launch("add_slices", add_slices, flat_shape(layer.map.weight_count()), stream, layer, sums.slices,
         sums.slice_count, gradient);
}

void add_unit_sums(const UnitSumArguments& arguments, bool swish, const Stream& stream) {
  const int units = arguments.end_unit - arguments.first_unit;
  const auto start_lanes = [&]<int lanes>() {
    launch("add_unit_gradients", add_unit_gradients<lanes>, row_shape(units, lanes), stream,
           arguments);
  };
  arguments.over_pixels ? start_lanes.template operator()<32>()
                        : start_lanes.template operator()<1>();
  if (swish)
    launch("add_betas", add_betas,
           LaunchShape{dim3(arguments.end_layer - arguments.first_layer), dim3(kFlatThreads),
                       kFlatThreads * sizeof(float)},
           stream, arguments);
}

}  // namespace ffjord::cuda
