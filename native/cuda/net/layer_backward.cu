#include "cuda/net/activations.h"
#include "cuda/net/layer_backward.h"
#include "cuda/net/operands.h"
#include "cuda/net/tile_rows.h"

namespace ffjord::cuda {
namespace {

// z̄ = σ' ā + Σ_k σ'' u_k ǡ_k, ū_k = σ' ǡ_k. With q the logit of the gate, q̄ = (1 − g) (z̄ (z − s) +
// Σ ū u): no division by g, which may underflow. A closed trace is one more tangent, of u = g.
// FLOPs: 2 B depth out (1 + K). Bytes: as layer_forward, and the tape once.
template <class Tile, Geometry geometry>
class BackwardTile {
 public:
  using Entries = cuda::Entries<Tile>;
  using Memory = TileMemory<Tile, 2, geometry>;

  __device__ BackwardTile(const BackwardArguments& arguments, Memory& memory)
      : s_(arguments),
        memory_(memory),
        first_place_(blockIdx.x * Tile::kRows),
        first_unit_(blockIdx.y * Tile::kUnits),
        rows_(s_.groups, first_place_, s_.batch) {}

  __device__ bool works() const { return rows_.any(); }

  __device__ void run() {
    if constexpr (geometry == Geometry::Pixels)
      memory_.set_places(s_.above_taps, s_.groups, first_place_, s_.batch,
                         s_.above_expanded ? s_.times.time : nullptr);
    const float beta = s_.beta ? *s_.beta : 1.f;
    Entries z_bar = {}, logit = {}, beta_bar = {};
#pragma unroll 1
    for (int channel = 0; channel <= s_.tangents; channel += 2) {
      Sums<Tile, 2> bars;
      load(channel, bars);
#pragma unroll
      for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
        for (int j = 0; j < Tile::kUnitsAThread; ++j) {
          if (!holds(i, j)) continue;
          const std::size_t at = entry(i, j);
          const float z = s_.z ? s_.z[at] : 0.f;
          const Unit unit{slopes_of(s_.layer.activation, s_.value[at], z, beta), z, beta,
                          s_.layer.gated() ? s_.times.gate[vector_entry(i, j)] : 1.f};
          if (channel == 0) {
            z_bar[i][j] = unit.slopes.slope * bars[0][i][j];
            if (s_.layer.activation == Activation::Swish)
              beta_bar[i][j] = swish_by_beta(z, beta).slope * bars[0][i][j];
          } else {
            pull_tangent(channel - 1, i, j, unit, bars[0][i][j], z_bar, logit, beta_bar);
          }
          if (channel < s_.tangents)
            pull_tangent(channel, i, j, unit, bars[1][i][j], z_bar, logit, beta_bar);
          if (channel == 0 && s_.closed)
            share(unit, s_.closed_bar[at], s_.closed[at], unit.gate, i, j, z_bar, logit, beta_bar);
        }
    }
    finish(z_bar, logit, beta_bar);
  }

  // A tile that rests adds nothing.
  __device__ void clear_sums() const {
    const int unit = first_unit_ + threadIdx.x;
    if (!s_.unit_sums || threadIdx.x >= Tile::kUnits || unit >= s_.layer.out()) return;
    for (int kind = 0; kind < kUnitSums; ++kind) *unit_sum(kind, unit) = 0.f;
  }

 private:
  struct Unit {
    Slopes slopes;
    float z, beta, gate;
  };

  __device__ int unit_at(int j) const { return first_unit_ + Tile::unit(j); }
  __device__ bool holds(int i, int j) const {
    return rows_.row[i] >= 0 && unit_at(j) < s_.layer.out();
  }
  __device__ std::size_t entry(int i, int j) const {
    return std::size_t(rows_.row[i]) * s_.layer.out() + unit_at(j);
  }
  __device__ std::size_t tangent_entry(int k, int i, int j) const {
    return std::size_t(k) * s_.batch * s_.layer.out() + entry(i, j);
  }
  __device__ int group_at(int i) const { return rows_.row[i] / s_.groups.rows; }
  __device__ std::size_t vector_entry(int i, int j) const {
    return s_.times.entry(rows_.row[i], s_.layer.unit + unit_at(j));
  }

  // Fills (ā, ǡ) of channels `first` and the next; channel 0 is the value.
  __device__ void load(int first, Sums<Tile, 2>& bars) {
    if (s_.above_value) return multiply(first, bars);
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j) {
        if (!holds(i, j)) continue;
        bars[0][i][j] =
            first == 0 ? s_.value_bar[entry(i, j)] : s_.tangent_bar[tangent_entry(first - 1, i, j)];
        if (first < s_.tangents) bars[1][i][j] = s_.tangent_bar[tangent_entry(first, i, j)];
      }
  }

  __device__ void multiply(int first, Sums<Tile, 2>& bars) {
    const float* w = s_.weight + (first_place_ / s_.groups.rows) * s_.weight_stride;
    const int out = s_.above_out;
    // Loaders are made of the kernel's arguments at each entry, so that these take no registers.
    const int depth = geometry == Geometry::Pixels ? s_.above_taps.depth : out;
    multiply_tile<Tile, 2>(
        memory_.product, s_.above_expanded ? 2 * depth : depth,
        [&](int channel, int r, int k) {
          if constexpr (geometry == Geometry::Pixels) {
            const Taps& taps = s_.above_taps;
            const std::size_t size = std::size_t(taps.by_pixels(s_.batch)) * taps.size;
            return TileOfPixels{memory_.places, taps,  s_.above_value, s_.above_tangent,
                                size,           first, s_.tangents}(channel, r, k);
          } else {
            const RowChannels rows{s_.above_value, out,           s_.above_tangent, s_.batch, out,
                                   s_.times.time,  s_.groups.rows};
            return TileOfRows{rows, s_.groups, first_place_, first, s_.tangents}(channel, r, k);
          }
        },
        [&](int k, int u) {
          return TileOfWeights{w, s_.layer.out(), first_unit_}(k, u);
        },
        bars);
  }

  // What a tangent's cotangent adds to the others; returns ū.
  __device__ float share(const Unit& unit, float bar, float tangent, float u, int i, int j,
                         Entries& z_bar, Entries& logit, Entries& beta_bar) const {
    const float u_bar = unit.slopes.slope * bar;
    const float bent = bends_preactivation(s_.layer.activation) ? u : tangent;
    z_bar[i][j] = fmaf(unit.slopes.bend * bent, bar, z_bar[i][j]);
    if (s_.layer.gated()) logit[i][j] = fmaf(u_bar, u, logit[i][j]);
    if (s_.layer.activation == Activation::Swish)
      beta_bar[i][j] = fmaf(swish_by_beta(unit.z, unit.beta).bend * u, bar, beta_bar[i][j]);
    return u_bar;
  }

  __device__ void pull_tangent(int k, int i, int j, const Unit& unit, float bar, Entries& z_bar,
                               Entries& logit, Entries& beta_bar) const {
    const std::size_t at = tangent_entry(k, i, j);
    const float u = s_.u ? s_.u[at] : 0.f;
    s_.tangent_bar[at] =
        unit.gate * share(unit, bar, s_.tangent[at], u, i, j, z_bar, logit, beta_bar);
  }

  __device__ float* unit_sum(int kind, int unit) const {
    return s_.unit_sums + (std::size_t(kind) * s_.sum_tiles + blockIdx.x) * s_.times.units +
           s_.layer.unit + unit;
  }

  __device__ void add_term(int first, int i, int j, float bar) const {
    if (!s_.terms.data || first == kNoTerm) return;
    float& sum = s_.terms.data[std::size_t(rows_.row[i]) * s_.terms.stride + first + unit_at(j)];
    sum = fmaf(s_.terms.sign, bar, sum);
  }

  // Stores g ⊙ z̄, and sums.
  __device__ void finish(Entries& z_bar, Entries& logit, const Entries& beta_bar) {
    float time_bar[Tile::kRowsAThread] = {};
    float sums[kUnitSums][Tile::kUnitsAThread] = {};
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j) {
        if (!holds(i, j)) continue;
        const std::size_t vector = vector_entry(i, j);
        const float t = s_.times.time[group_at(i)];
        float gate = 1.f, logit_bar = 0.f;
        if (s_.layer.gated()) {
          gate = s_.times.gate[vector];
          logit_bar = (1.f - gate) *
                      fmaf(z_bar[i][j], s_.z[entry(i, j)] - s_.times.shift[vector], logit[i][j]);
        }
        const float gated = gate * z_bar[i][j];
        s_.value_bar[entry(i, j)] = gated;
        if (s_.logit_bar) s_.logit_bar[entry(i, j)] = logit_bar;
        add_term(s_.layer.bias_term, i, j, gated);
        add_term(s_.layer.gate_term, i, j, logit_bar);
        sums[kGatedValue][j] += gated;
        sums[kTimedValue][j] = fmaf(t, z_bar[i][j], sums[kTimedValue][j]);
        sums[kLogit][j] += logit_bar;
        sums[kTimedLogit][j] = fmaf(t, logit_bar, sums[kTimedLogit][j]);
        sums[kBeta][j] += beta_bar[i][j];
        if (!s_.time_bars) continue;
        const float shift = s_.planes.time ? s_.planes.time_weight(rows_.row[i], unit_at(j))
                                           : s_.layer.shift_weight(s_.parameters, unit_at(j));
        time_bar[i] = fmaf(shift, z_bar[i][j], time_bar[i]);
        if (s_.layer.gated())
          time_bar[i] = fmaf(s_.parameters[s_.layer.offsets.gate_weight + unit_at(j)], logit_bar,
                             time_bar[i]);
      }
    if (s_.time_bars) store_time_bars(time_bar);
    if (!s_.unit_sums) return;
#pragma unroll
    for (int kind = 0; kind < kUnitSums; ++kind) {
      if ((kind == kLogit || kind == kTimedLogit) && !s_.layer.gated()) continue;
      if (kind == kBeta && s_.layer.activation != Activation::Swish) continue;
      store_unit_sums(kind, sums[kind]);
    }
  }

  // Adds up over the tile's rows, in order.
  __device__ void store_unit_sums(int kind, const float (&sums)[Tile::kUnitsAThread]) {
    float* parts = memory_.product.scratch();  // [threads down][units]
    __syncthreads();
#pragma unroll
    for (int j = 0; j < Tile::kUnitsAThread; ++j)
      parts[Tile::part_down() * Tile::kUnits + Tile::unit(j)] = sums[j];
    __syncthreads();
    const int unit = first_unit_ + threadIdx.x;
    if (threadIdx.x >= Tile::kUnits || unit >= s_.layer.out()) return;
    float sum = 0.f;
    for (int part = 0; part < Tile::kDown; ++part) sum += parts[part * Tile::kUnits + threadIdx.x];
    *unit_sum(kind, unit) = sum;
  }

  // Adds up over the tile's units, in order.
  __device__ void store_time_bars(const float (&bars)[Tile::kRowsAThread]) {
    float* parts = memory_.product.scratch();  // [rows][threads across]
    __syncthreads();
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
      parts[Tile::row(i) * Tile::kAcross + Tile::part_across()] = bars[i];
    __syncthreads();
    const int place = first_place_ + threadIdx.x;
    if (threadIdx.x >= Tile::kRows || place >= s_.batch) return;
    float sum = 0.f;
    for (int part = 0; part < Tile::kAcross; ++part)
      sum += parts[threadIdx.x * Tile::kAcross + part];
    s_.time_bars[std::size_t(blockIdx.y) * s_.batch + s_.groups.row_at(place)] = sum;
  }

  const BackwardArguments& s_;
  Memory& memory_;
  const int first_place_, first_unit_;
  const TileRows<Tile> rows_;
};

// hot: no spills
template <class Tile, Geometry geometry>
__global__ void __launch_bounds__(Tile::kThreads)
    layer_backward(const __grid_constant__ BackwardArguments arguments) {
  using Pullback = BackwardTile<Tile, geometry>;
  Pullback tile(arguments, shared_memory<typename Pullback::Memory>());
  tile.works() ? tile.run() : tile.clear_sums();
}

template <class Tile, Geometry geometry>
void start(const BackwardArguments& arguments, const Stream& stream) {
  launch("layer_backward", layer_backward<Tile, geometry>,
         tile_shape<Tile, typename BackwardTile<Tile, geometry>::Memory>(arguments.batch,
                                                                         arguments.layer.out()),
         stream, arguments);
}

}  // namespace

void pull_layer(const BackwardArguments& arguments, const Stream& stream) {
  const bool large = takes_large_tiles(arguments.groups, arguments.batch, arguments.layer.out());
  if (const int depth = arguments.above_taps.depth; depth > 0)
    return with_tile(large, depth, stream.options(), [&](auto tile) {
      start<decltype(tile), Geometry::Pixels>(arguments, stream);
    });
  large ? start<LargeTile, Geometry::Rows>(arguments, stream)
        : start<SmallTile, Geometry::Rows>(arguments, stream);
}

int row_tiles(const Groups& groups, int batch, int units) {
  return takes_large_tiles(groups, batch, units) ? tiles_of(batch, LargeTile::kRows)
                                                 : tiles_of(batch, SmallTile::kRows);
}

int unit_tiles(const Groups& groups, int batch, int units) {
  return takes_large_tiles(groups, batch, units) ? tiles_of(units, LargeTile::kUnits)
                                                 : tiles_of(units, SmallTile::kUnits);
}

}  // namespace ffjord::cuda
