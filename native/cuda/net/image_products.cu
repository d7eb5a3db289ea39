#include <algorithm>

#include "cuda/device/block_sum.h"
#include "cuda/device/memory.h"
#include "cuda/net/image_products.h"
#include "cuda/product/tiling.h"

namespace ffjord::cuda {
namespace {

// W is (narrow, wide, height, width) in memory, whichever side is the input.
struct Sides {
  Convolution at;
  int narrow_channels = 1, wide_channels = 1;
  Plane narrow, wide;

  explicit Sides(const LinearMap& map)
      : at(map.convolution),
        narrow_channels(map.transposed() ? map.channels_in : map.channels_out),
        wide_channels(map.transposed() ? map.channels_out : map.channels_in),
        narrow(map.transposed() ? map.plane_in : map.plane_out),
        wide(map.transposed() ? map.plane_out : map.plane_in) {}

  __host__ __device__ int taps() const { return at.kernel.height * at.kernel.width; }
  __host__ __device__ int narrow_pixels() const { return narrow.height * narrow.width; }
  __host__ __device__ int wide_pixels() const { return wide.height * wide.width; }

  /// A pixel of the narrow side under a tap → where it lies on the wide side, or −1.
  __device__ int wide_pixel(int pixel, int tap) const {
    const int y = pixel / narrow.width * at.stride - at.padding + tap / at.kernel.width;
    const int x = pixel % narrow.width * at.stride - at.padding + tap % at.kernel.width;
    const bool inside = y >= 0 && y < wide.height && x >= 0 && x < wide.width;
    return inside ? y * wide.width + x : -1;
  }
  /// A pixel of the wide side → that of the narrow side which reaches it by a tap, or −1.
  __device__ int narrow_pixel(int pixel, int tap) const {
    const int y = pixel / wide.width + at.padding - tap / at.kernel.width;
    const int x = pixel % wide.width + at.padding - tap % at.kernel.width;
    if (y < 0 || x < 0 || y % at.stride != 0 || x % at.stride != 0) return -1;
    const int row = y / at.stride, column = x / at.stride;
    return row < narrow.height && column < narrow.width ? row * narrow.width + column : -1;
  }
};

struct Product {
  Sides sides;
  int batch = 0;
  const float *weight = nullptr, *bias = nullptr, *in = nullptr;
  float* out = nullptr;
  bool adds = false;

  __device__ void store(int pixels, int channels, int row, int channel, float sum) const {
    float& to = out[(std::size_t(row / pixels) * channels + channel) * pixels + row % pixels];
    const float value = bias ? sum + bias[channel] : sum;
    to = adds ? to + value : value;
  }
};

// Each block makes a tile of (rows · pixels, channels) of the narrow side, or of the wide one.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads) gather_images(const __grid_constant__ Product s) {
  const Sides& sides = s.sides;
  const int first_row = blockIdx.x * Tile::kRows, first_unit = blockIdx.y * Tile::kUnits;
  const int taps = sides.taps(), depth = sides.wide_channels * taps;
  const int pixels = sides.narrow_pixels(), rows = s.batch * pixels;
  Sums<Tile, 1> sums;
  multiply_tile<Tile, 1>(
      shared_memory<ProductMemory<Tile, 1>>(), depth,
      [&](int, int r, int k) {
        const int row = first_row + r;
        if (row >= rows) return 0.f;
        const int at = sides.wide_pixel(row % pixels, k % taps);
        const std::size_t channel = std::size_t(row / pixels) * sides.wide_channels + k / taps;
        return at < 0 ? 0.f : s.in[channel * sides.wide_pixels() + at];
      },
      [&](int k, int u) {
        const int unit = first_unit + u;
        return unit < sides.narrow_channels ? s.weight[std::size_t(unit) * depth + k] : 0.f;
      },
      sums);
#pragma unroll
  for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
    for (int j = 0; j < Tile::kUnitsAThread; ++j) {
      const int row = first_row + Tile::row(i), unit = first_unit + Tile::unit(j);
      if (row < rows && unit < sides.narrow_channels)
        s.store(pixels, sides.narrow_channels, row, unit, sums[0][i][j]);
    }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads) spread_images(const __grid_constant__ Product s) {
  const Sides& sides = s.sides;
  const int first_row = blockIdx.x * Tile::kRows, first_unit = blockIdx.y * Tile::kUnits;
  const int taps = sides.taps(), depth = sides.narrow_channels * taps;
  const int pixels = sides.wide_pixels(), rows = s.batch * pixels;
  Sums<Tile, 1> sums;
  multiply_tile<Tile, 1>(
      shared_memory<ProductMemory<Tile, 1>>(), depth,
      [&](int, int r, int k) {
        const int row = first_row + r;
        if (row >= rows) return 0.f;
        const int at = sides.narrow_pixel(row % pixels, k % taps);
        const std::size_t channel = std::size_t(row / pixels) * sides.narrow_channels + k / taps;
        return at < 0 ? 0.f : s.in[channel * sides.narrow_pixels() + at];
      },
      [&](int k, int u) {
        const int unit = first_unit + u;
        if (unit >= sides.wide_channels) return 0.f;
        return s.weight[(std::size_t(k / taps) * sides.wide_channels + unit) * taps + k % taps];
      },
      sums);
#pragma unroll
  for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
    for (int j = 0; j < Tile::kUnitsAThread; ++j) {
      const int row = first_row + Tile::row(i), unit = first_unit + Tile::unit(j);
      if (row < rows && unit < sides.wide_channels)
        s.store(pixels, sides.wide_channels, row, unit, sums[0][i][j]);
    }
}

struct Outer {
  Sides sides;
  int samples = 0, slice = 0;  ///< B · pixels of the narrow side; of a slice
  const float *narrow = nullptr, *wide = nullptr;
  float* slices = nullptr;  ///< (slices, W)
};

// Each block makes a tile of (narrow channels, wide channels · taps) over the pixels of one slice.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads) outer_images(const __grid_constant__ Outer s) {
  const Sides& sides = s.sides;
  const int first_row = blockIdx.x * Tile::kRows, first_unit = blockIdx.y * Tile::kUnits;
  const int first = blockIdx.z * s.slice, count = min(s.slice, s.samples - first);
  const int taps = sides.taps(), units = sides.wide_channels * taps;
  const int pixels = sides.narrow_pixels();
  Sums<Tile, 1> sums;
  multiply_tile<Tile, 1>(
      shared_memory<ProductMemory<Tile, 1>>(), count,
      [&](int, int r, int k) {
        const int row = first_row + r, sample = first + k;
        if (row >= sides.narrow_channels) return 0.f;
        const std::size_t channel = std::size_t(sample / pixels) * sides.narrow_channels + row;
        return s.narrow[channel * pixels + sample % pixels];
      },
      [&](int k, int u) {
        const int unit = first_unit + u, sample = first + k;
        if (unit >= units) return 0.f;
        const int at = sides.wide_pixel(sample % pixels, unit % taps);
        const std::size_t channel =
            std::size_t(sample / pixels) * sides.wide_channels + unit / taps;
        return at < 0 ? 0.f : s.wide[channel * sides.wide_pixels() + at];
      },
      sums);
  float* const to = s.slices + std::size_t(blockIdx.z) * sides.narrow_channels * units;
#pragma unroll
  for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
    for (int j = 0; j < Tile::kUnitsAThread; ++j) {
      const int row = first_row + Tile::row(i), unit = first_unit + Tile::unit(j);
      if (row < sides.narrow_channels && unit < units)
        to[std::size_t(row) * units + unit] = sums[0][i][j];
    }
}

// One thread for each entry of W.
__global__ void add_image_slices(std::size_t size, int count, const float* slices,
                                 float* gradient) {
  const std::size_t entry = flat_index();
  if (entry >= size) return;
  float sum = 0.f;
  for (int slice = 0; slice < count; ++slice) sum += slices[slice * size + entry];
  gradient[entry] += sum;
}

// One block for each channel.
__global__ void add_channel_sums(int batch, int channels, int pixels, const float* bars,
                                 float* sums) {
  float sum = 0.f;
  for (int e = threadIdx.x; e < batch * pixels; e += kFlatThreads)
    sum += bars[(std::size_t(e / pixels) * channels + blockIdx.x) * pixels + e % pixels];
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] += sum;
}

// Of a product's tile, by the numbers of its rows and units.
template <class Start>
void with_image_tile(int rows, int units, int depth, const Stream& stream, const Start& start) {
  with_tile(rows > SmallTile::kRows && units > SmallTile::kUnits, depth, stream.options(), start);
}

Product product_of(const ImageProductArguments& s) {
  return {Sides(s.map), s.batch, s.weight, s.bias, s.in, s.out, s.adds};
}

void gather(const Product& s, const Stream& stream) {
  const int rows = s.batch * s.sides.narrow_pixels(), units = s.sides.narrow_channels;
  with_image_tile(rows, units, s.sides.wide_channels * s.sides.taps(), stream,
                  [&]<class Tile>(Tile) {
                    launch("gather_images", gather_images<Tile>,
                           tile_shape<Tile, ProductMemory<Tile, 1>>(rows, units), stream, s);
                  });
}

void spread(const Product& s, const Stream& stream) {
  const int rows = s.batch * s.sides.wide_pixels(), units = s.sides.wide_channels;
  with_image_tile(rows, units, s.sides.narrow_channels * s.sides.taps(), stream,
                  [&]<class Tile>(Tile) {
                    launch("spread_images", spread_images<Tile>,
                           tile_shape<Tile, ProductMemory<Tile, 1>>(rows, units), stream, s);
                  });
}

// Enough blocks for the largest cards, whatever the present one is: sums must not depend on it.
constexpr int kBlocks = 264, kMostSlices = 64, kLeastSamples = 256;

}  // namespace

void multiply_images(const ImageProductArguments& arguments, const Stream& stream) {
  const Product s = product_of(arguments);
  arguments.map.transposed() ? spread(s, stream) : gather(s, stream);
}

void multiply_images_transposed(const ImageProductArguments& arguments, const Stream& stream) {
  const Product s = product_of(arguments);
  arguments.map.transposed() ? gather(s, stream) : spread(s, stream);
}

void add_image_gradients(const LinearMap& map, int batch, const float* a, const float* y_bar,
                         float* weight_bar, float* bias_bar, const Stream& stream) {
  Outer s{Sides(map), 0, 0, map.transposed() ? a : y_bar, map.transposed() ? y_bar : a, nullptr};
  s.samples = batch * s.sides.narrow_pixels();
  const int rows = s.sides.narrow_channels, units = s.sides.wide_channels * s.sides.taps();
  const int tiles = tiles_of(rows, LargeTile::kRows) * tiles_of(units, LargeTile::kUnits);
  const int wanted =
      std::clamp(std::min(kBlocks / tiles, tiles_of(s.samples, kLeastSamples)), 1, kMostSlices);
  s.slice = tiles_of(s.samples, wanted);
  const int count = tiles_of(s.samples, s.slice);
  const std::size_t size = std::size_t(rows) * units;
  DeviceArray<float> slices(size * count, stream);
  s.slices = slices.data();
  with_image_tile(rows, units, s.slice, stream, [&]<class Tile>(Tile) {
    launch("outer_images", outer_images<Tile>,
           tile_shape<Tile, ProductMemory<Tile, 1>>(rows, units, count), stream, s);
  });
  launch("add_image_slices", add_image_slices, flat_shape(size), stream, size, count, slices.data(),
         weight_bar);
  launch("add_channel_sums", add_channel_sums, sum_shape<float>(map.channels_out), stream, batch,
         map.channels_out, int(map.plane_out.size()), y_bar, bias_bar);
}

}  // namespace ffjord::cuda
