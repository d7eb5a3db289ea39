#include "cuda/net/activations.h"
#include "cuda/net/layer_forward.h"
#include "cuda/net/operands.h"
#include "cuda/net/tile_rows.h"

namespace ffjord::cuda {
namespace {

// A tile of rows and units, value first and then the tangents, two products at a time, so that a
// thread holds σ'(z) of its entries while their tangents come.
// FLOPs: 2 B depth out (1 + K). Bytes: A once an out / kUnits, W once a B / kRows.
template <class Tile, Geometry geometry>
class ForwardTile {
 public:
  using Memory = TileMemory<Tile, 2, geometry>;

  __device__ ForwardTile(const ForwardArguments& arguments, Memory& memory)
      : s_(arguments),
        memory_(memory),
        first_place_(blockIdx.x * Tile::kRows),
        first_unit_(blockIdx.y * Tile::kUnits),
        slot_(s_.slot.offset(s_.groups)),
        value_(s_.input.value + (s_.input.value_on_tape ? slot_ : 0)),
        tangents_(s_.input.tangents + (s_.input.tangents_on_tape ? slot_ : 0)),
        rows_(s_.groups, first_place_, s_.batch) {}

  __device__ bool works() const { return rows_.any(); }

  __device__ void run() {
    if constexpr (geometry == Geometry::Pixels)
      memory_.set_places(s_.taps, s_.groups, first_place_, s_.batch,
                         s_.layer.expanded() ? s_.times.time : nullptr);
    Sums<Tile, 2> sums;
    const bool unit_tangents = !s_.input.tangents && s_.tangents > 0;
    const int last = unit_tangents ? 0 : s_.tangents;  // channel that takes a product
#pragma unroll 1
    for (int channel = 0; channel <= last; channel += 2) {
      multiply(channel, channel < last, sums);
      if (channel == 0)
        finish_value(sums[0]);
      else
        finish_tangent(channel - 1, sums[0]);
      if (channel < last) finish_tangent(channel, sums[1]);
    }
    if (!unit_tangents) return;
#pragma unroll 1
    for (int k = 0; k < s_.tangents; ++k) {
      take_columns(k, sums[0]);
      finish_tangent(k, sums[0]);
    }
  }

 private:
  __device__ int unit_at(int j) const { return first_unit_ + Tile::unit(j); }
  __device__ bool holds(int i, int j) const {
    return rows_.row[i] >= 0 && unit_at(j) < s_.layer.out();
  }
  __device__ std::size_t entry(int i, int j) const {
    return slot_ + std::size_t(rows_.row[i]) * s_.layer.out() + unit_at(j);
  }
  __device__ std::size_t tangent_entry(int k, int i, int j) const {
    return std::size_t(k) * s_.batch * s_.layer.out() + entry(i, j);
  }
  __device__ std::size_t vector_entry(int i, int j) const {
    return s_.times.entry(rows_.row[i], s_.layer.unit + unit_at(j));
  }
  __device__ float time_at(int i) const { return s_.times.time[rows_.row[i] / s_.groups.rows]; }
  __device__ const float* weight() const {
    return s_.weight + (first_place_ / s_.groups.rows) * s_.weight_stride;
  }

  // The product of channels `first` and, `with_second`, the next.
  __device__ void multiply(int first, bool with_second, Sums<Tile, 2>& sums) {
    const float* w = weight();
    const int last = with_second ? first + 1 : first;
    // Loaders are made of the kernel's arguments at each entry, so that these take no registers.
    multiply_tile<Tile, 2>(
        memory_.product, s_.layer.depth(),
        [&](int channel, int r, int k) {
          if constexpr (geometry == Geometry::Pixels) {
            const std::size_t size = std::size_t(s_.taps.by_pixels(s_.batch)) * s_.taps.size;
            return TileOfPixels{memory_.places, s_.taps, value_, tangents_, size, first, last}(
                channel, r, k);
          } else {
            const RowChannels rows{value_,        s_.input.value_stride, tangents_,     s_.batch,
                                   s_.layer.in(), s_.times.time,         s_.groups.rows};
            return TileOfRows{rows, s_.groups, first_place_, first, last}(channel, r, k);
          }
        },
        [&](int k, int u) {
          return TileOfWeights{w, s_.layer.out(), first_unit_}(k, u);
        },
        sums);
  }

  // W e_k, and of a blend (W₀ + t (W₁ − W₀)) e_k.
  __device__ void take_columns(int k, Entries<Tile>& sums) const {
    const float* w = weight();
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j) {
        if (!holds(i, j)) continue;
        sums[i][j] = w[std::size_t(k) * s_.layer.out() + unit_at(j)];
        if (s_.layer.expanded())
          sums[i][j] =
              fmaf(time_at(i), w[std::size_t(s_.layer.in() + k) * s_.layer.out() + unit_at(j)],
                   sums[i][j]);
      }
  }

  __device__ void finish_value(const Entries<Tile>& sums) {
    const float beta = s_.beta ? *s_.beta : 1.f;
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j) {
        if (!holds(i, j)) continue;
        const std::size_t vector = vector_entry(i, j), at = entry(i, j);
        const float gate = s_.layer.gated() ? s_.times.gate[vector] : 1.f;
        float z = fmaf(gate, sums[i][j], s_.times.offset[vector]);
        if (s_.planes.time) z += s_.planes.shift(rows_.row[i], unit_at(j), time_at(i));
        const Activated activated = activate(s_.layer.activation, z, beta);
        slopes_[i][j] = activated.slope;
        s_.value[at] = activated.a;
        if (s_.z) s_.z[at] = z;
        if (s_.closed) s_.closed[at] = activated.slope * gate;
      }
  }

  __device__ void finish_tangent(int k, const Entries<Tile>& sums) const {
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j) {
        if (!holds(i, j)) continue;
        const std::size_t at = tangent_entry(k, i, j);
        const float u =
            s_.layer.gated() ? s_.times.gate[vector_entry(i, j)] * sums[i][j] : sums[i][j];
        s_.tangent[at] = slopes_[i][j] * u;
        if (s_.u) s_.u[at] = u;
      }
  }

  const ForwardArguments& s_;
  Memory& memory_;
  const int first_place_, first_unit_;
  const std::ptrdiff_t slot_;
  const float *const value_, *const tangents_;  // of the input
  const TileRows<Tile> rows_;
  Entries<Tile> slopes_;
};

// The tile's rows of a stage's point, before they are read. Each column of tiles does it for itself
// and stores the same bits, so that none waits for another.
// FLOPs: 2 B in stages an out / kUnits. Bytes: the stages' rates as often.
template <class Tile>
__device__ void combine_rows(const ForwardArguments& s) {
  const int in = s.layer.in();
  for (int e = threadIdx.x; e < Tile::kRows * in; e += Tile::kThreads) {
    const int place = blockIdx.x * Tile::kRows + e / in, channel = e % in;
    if (place >= s.batch) break;
    const int row = s.groups.row_at(place);
    if (s.groups.of_row(row).working) s.point.store(s.groups, row, channel);
  }
  __syncthreads();
}

// hot: no spills
template <class Tile, Geometry geometry>
__global__ void __launch_bounds__(Tile::kThreads)
    layer_forward(const __grid_constant__ ForwardArguments arguments) {
  if (!arguments.point.has_values()) combine_rows<Tile>(arguments);
  using Pass = ForwardTile<Tile, geometry>;
  Pass tile(arguments, shared_memory<typename Pass::Memory>());
  if (tile.works()) tile.run();
}

template <class Tile, Geometry geometry>
void start(const ForwardArguments& arguments, const Stream& stream) {
  launch("layer_forward", layer_forward<Tile, geometry>,
         tile_shape<Tile, typename ForwardTile<Tile, geometry>::Memory>(arguments.batch,
                                                                        arguments.layer.out()),
         stream, arguments);
}

}  // namespace

void run_layer(const ForwardArguments& arguments, const Stream& stream) {
  const bool large = takes_large_tiles(arguments.groups, arguments.batch, arguments.layer.out());
  if (arguments.taps.depth > 0)
    return with_tile(large, arguments.layer.depth(), stream.options(), [&](auto tile) {
      start<decltype(tile), Geometry::Pixels>(arguments, stream);
    });
  large ? start<LargeTile, Geometry::Rows>(arguments, stream)
        : start<SmallTile, Geometry::Rows>(arguments, stream);
}

}  // namespace ffjord::cuda
