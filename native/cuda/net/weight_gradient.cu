#include <algorithm>

#include "cuda/net/operands.h"
#include "cuda/net/weight_gradient.h"
#include "cuda/product/tiling.h"

namespace ffjord::cuda {
namespace {

// Each block makes a tile of P over the rows and channels of one slice: bar aᵀ and, of a blend, t
// bar aᵀ.
template <class Tile, int Products>
__global__ void __launch_bounds__(Tile::kThreads)
    outer_products(const __grid_constant__ OuterArguments s) {
  const int first_j = blockIdx.x * Tile::kRows, first_k = blockIdx.y * Tile::kUnits;
  const int first_row = blockIdx.z * s.slice_rows;
  const int rows = min(s.slice_rows, s.batch - first_row);
  const RowChannels bars{s.value_bar, s.out, s.tangent_bar, s.batch, s.out, nullptr, 1};
  const RowChannels inputs{
      s.input.value, s.input.value_stride, s.input.tangents, s.batch, s.in, nullptr, 1};
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
        if (channel > 0 && !s.input.tangents) return k == channel - 1 ? 1.f : 0.f;
        return inputs.plain(channel, row, k);
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

template <class Tile, int Products>
void start(const OuterArguments& s, const Stream& stream) {
  launch("outer_products", outer_products<Tile, Products>,
         tile_shape<Tile, ProductMemory<Tile, Products>>(s.out, s.in, s.slice_count), stream, s);
}

// One thread for each entry of (out, in).
__global__ void add_slices(Layer layer, const float* slices, int slice_count, float* gradient) {
  const std::size_t entry = flat_index();
  if (entry >= std::size_t(layer.out()) * layer.in()) return;
  const std::size_t j = entry / layer.in(), k = entry % layer.in(), depth = layer.depth();
  float sum = 0.f, timed = 0.f;
  for (int slice = 0; slice < slice_count; ++slice) {
    const float* row = slices + (std::size_t(slice) * layer.out() + j) * depth;
    sum += row[k];
    if (layer.expanded()) timed += row[layer.in() + k];
  }
  const std::size_t at = j * layer.weight_stride() + k;
  gradient[layer.weight_offset() + at] += sum - timed;
  if (layer.expanded()) gradient[layer.offsets.weight1 + at] += timed;
}

__device__ int tiles_in(const UnitSumArguments& s, const Layer& layer) {
  return layer.out() > s.large_above ? s.large_tiles : s.small_tiles;
}

// One thread for each unit of the layers.
__global__ void add_unit_gradients(UnitSumArguments s) {
  const int unit = s.first_unit + static_cast<int>(flat_index());
  if (unit >= s.end_unit) return;
  int l = s.first_layer;
  while (l + 1 < s.end_layer && s.layers[l + 1].unit <= unit) ++l;
  const Layer& layer = s.layers[l];
  const int j = unit - layer.unit;
  float totals[kBeta] = {};
  for (int kind = 0; kind < (layer.gated() ? kBeta : kLogit); ++kind) {
    const float* parts = s.unit_sums + std::size_t(kind) * s.sum_tiles * s.units + unit;
    for (int tile = 0; tile < tiles_in(s, layer); ++tile)
      totals[kind] += parts[std::size_t(tile) * s.units];
  }
  const LayerOffsets& at = layer.offsets;
  if (layer.expanded()) {
    s.gradient[at.bias + j] += totals[kGatedValue] - totals[kTimedValue];
    s.gradient[at.bias1 + j] += totals[kTimedValue];
  } else if (!layer.hyper()) {
    s.gradient[at.bias + j] += totals[kGatedValue];
  }
  if (layer.shifted()) s.gradient[at.shift + j] += totals[kTimedValue];
  if (layer.takes_time())
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

}  // namespace

void cut_slices(OuterArguments& s, bool each_group) {
  if (each_group && s.groups.count > 1) {
    s.slice_rows = s.groups.rows;
  } else {
    s.slice_rows = tiles_of(s.batch, slices_for(s.batch, s.out, s.in));
  }
  s.slice_count = tiles_of(s.batch, s.slice_rows);
}

std::size_t most_slice_floats(int batch, int out, int in, bool expanded, int groups) {
  const std::size_t depth = expanded ? 2 * in : in;
  return std::size_t(std::max(slices_for(batch, out, in), groups)) * out * depth;
}

void sum_outer_products(const OuterArguments& s, const Stream& stream) {
  with_tile(takes_large(s), s.slice_rows * (1 + s.tangents), stream.options(), [&](auto tile) {
    using Tile = decltype(tile);
    s.expanded ? start<Tile, 2>(s, stream) : start<Tile, 1>(s, stream);
  });
}

void add_weight_gradient(const Layer& layer, const OuterArguments& sums, float* gradient,
                         const Stream& stream) {
  launch("add_slices", add_slices, flat_shape(std::size_t(layer.out()) * layer.in()), stream, layer,
         sums.slices, sums.slice_count, gradient);
}

void add_unit_sums(const UnitSumArguments& arguments, bool swish, const Stream& stream) {
  launch("add_unit_gradients", add_unit_gradients,
         flat_shape(arguments.end_unit - arguments.first_unit), stream, arguments);
  if (swish)
    launch("add_betas", add_betas,
           LaunchShape{dim3(arguments.end_layer - arguments.first_layer), dim3(kFlatThreads),
                       kFlatThreads * sizeof(float)},
           stream, arguments);
}

}  // namespace ffjord::cuda
