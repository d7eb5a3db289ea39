// The way back through the layers of a small net whose activations lie in shared memory
// (fused_field.h).
#pragma once

#include "cuda/fused/fused_field.h"
#include "cuda/fused/fused_kept_rows.h"

namespace ffjord::cuda {

template <class Tile>
class FusedTileReverse : public FusedKeptRows<FusedField<Tile>> {
  using Rows = FusedKeptRows<FusedField<Tile>>;
  static constexpr int kKept = Tile::kChannels + 1;
  using Entries = float[Tile::kChannels];

 public:
  /// Parts that a row's t̄ has in shared memory.
  static constexpr int kTimeParts = 1;
  /// Entries of a pass that a thread has, of the layer.
  static int places_of(const Layer& layer) {
    const int stripes = (Tile::padded(layer.out()) + Tile::kStripe - 1) / Tile::kStripe;
    return stripes * Tile::kRowsAThread * Tile::kUnitsAThread;
  }

  __device__ explicit FusedTileReverse(const FusedPullbackArguments& s) : Rows(s) {
    Rows::load_weights();
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      Rows::load_matrix(net_.packed + layer.packed + layer.weights(), layer.out(), layer.in(),
                        memory_ + at_.transposed[l]);
      Rows::clear(at_.sums[l], Tile::padded(layer.in()) * Tile::padded(layer.out()));
    }
    Rows::clear(at_.unit_sums, kUnitSums * net_.units);
  }

  /// Rates of a stage, whose pass is kept.
  __device__ void evaluate(int stage, double c, float* rates) const {
    Rows::evaluate(c, rates,
                   [&](int l, int stripe, int ri, int uj, float a, const Entries& entries) {
                     float* const to = kept(stage, l, stripe, ri, uj);
                     to[0] = a;
#pragma unroll
                     for (int k = 0; k < Tile::kChannels; ++k)
                       to[(k + 1) * Tile::kThreads] = entries[k];
                   });
  }
  /// Makes ready what a stage is pulled at.
  __device__ void enter(double c) const { Rows::set_times(c); }

  /// The net's output as a stage had it, behind the next barrier.
  __device__ const float* output(int stage) const {
    restore(stage, net_.layer_count - 1);
    return Rows::layer_input(net_.layer_count);
  }
  /// Where cotangents of the output go: where those of a layer above it would be.
  __device__ float* seeds() const { return bars(net_.layer_count); }

  /// From the seeds to Ȳ of the stage, `point_bar` [rows][D], which is added to; the sums of the
  /// weights and t̄ of the rows. A barrier follows.
  __device__ void pull(int stage, float* point_bar) const {
    float time_bars[Tile::kRowsAThread] = {};
    for (int l = net_.layer_count; l-- > 0;) pull_layer(stage, l, time_bars);
    pull_input(point_bar);
    store_time_bars(time_bars);
  }

  // Adds to those of the launches before.
  __device__ void store_sums() const {
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      float* const to = s_.slices[l] + blockIdx.x * layer.weights();
      const int width = Tile::padded(layer.out());
      for (int e = threadIdx.x; e < layer.out() * layer.in(); e += Tile::kThreads)
        Rows::add(to[e], memory_[at_.sums[l] + e % layer.in() * width + e / layer.in()]);
    }
    for (int e = threadIdx.x; e < kUnitSums * net_.units; e += Tile::kThreads)
      Rows::add(Rows::unit_sum(e / net_.units, e % net_.units), memory_[at_.unit_sums + e]);
  }

 protected:
  using Rows::at_, Rows::memory_, Rows::net_, Rows::s_, Rows::thread;

 private:
  __device__ float* bars(int l) const { return memory_ + at_.bars[l % 2]; }
  // What a pass left for entry (i, j) of the present thread: a, z, u_k, a block of threads apart.
  __device__ float* kept(int stage_index, int l, int stripe, int i, int j) const {
    const int place =
        s_.first_place[l] + (stripe * Tile::kRowsAThread + i) * Tile::kUnitsAThread + j;
    return Rows::passes_of(stage_index) + std::size_t(place) * kKept * Tile::kThreads + threadIdx.x;
  }
  __device__ void store_time_bars(float (&time_bars)[Tile::kRowsAThread]) const {
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i) {
      for (int distance = Tile::kAcross / 2; distance > 0; distance /= 2)
        time_bars[i] += __shfl_xor_sync(~0u, time_bars[i], distance);
      if (thread() % Tile::kAcross == 0) memory_[at_.time_parts + Tile::row(i)] = time_bars[i];
    }
  }

  // (ā, ǡ) → (g z̄, g ū) of a layer, and the sums of its weights.
  __device__ void pull_layer(int stage_index, int l, float (&time_bars)[Tile::kRowsAThread]) const {
    const Layer& layer = net_.layers[l];
    const int width = Tile::padded(layer.out());
    const bool is_last = l + 1 == net_.layer_count;
    for (int first = 0; first < width; first += Tile::kStripe) {
      typename Tile::Sums sums;
      if (!is_last)
        Tile::multiply_stripe(bars(l + 1), net_.stride, memory_ + at_.transposed[l + 1],
                              Tile::padded(net_.layers[l + 1].out()), width, first, sums);
      Rows::for_entries(first, width, [&](int i, int j, int unit) {
        Entries bar = {};
        if (unit < layer.out())
#pragma unroll
          for (int k = 0; k < Tile::kChannels; ++k)
            bar[k] = is_last ? bars(l + 1)[(k * Tile::kRows + Tile::row(i)) * net_.stride + unit]
                             : sums[k][i][j];
        pull_entry(stage_index, l, first, i, j, bar, time_bars[i]);
      });
    }
    if (s_.unit_sums) {
      if (l == 0)
        Rows::fill_input();
      else
        restore(stage_index, l - 1);
    }
    __syncthreads();
    if (!s_.unit_sums) return;
    add_outer_products<Tile>(Rows::layer_input(l), bars(l), net_.stride, Tile::padded(layer.in()),
                             width, memory_ + at_.sums[l]);
    add_unit_sums_of(layer, bars(l));
    __syncthreads();
  }

  // It does what layer_backward.cu does.
  __device__ void pull_entry(int stage_index, int l, int first, int i, int j, Entries& bar,
                             float& time_bar) const {
    const Layer& layer = net_.layers[l];
    const int row = Tile::row(i), unit = first + Tile::unit(j);
    float z_bar = 0.f, logit_bar = 0.f;
    if (unit < layer.out()) {
      const float* const from = kept(stage_index, l, first / Tile::kStripe, i, j);
      const float a = from[0], z = from[Tile::kThreads];
      const std::size_t vector = Rows::vector_entry(row, layer, unit);
      const float gate = memory_[at_.gates + vector];
      const Slopes slopes = slopes_of(layer.activation, a, z, 1.f);
      z_bar = slopes.slope * bar[0];
#pragma unroll
      for (int k = 1; k < Tile::kChannels; ++k) {
        const float u = from[(k + 1) * Tile::kThreads], u_bar = slopes.slope * bar[k];
        const float bent = bends_preactivation(layer.activation) ? u : slopes.slope * u;
        z_bar = fmaf(slopes.bend * bent, bar[k], z_bar);
        logit_bar = fmaf(u_bar, u, logit_bar);
        bar[k] = gate * u_bar;
      }
      bar[0] = gate * z_bar;
      time_bar = fmaf(layer.shift_weight(net_.parameters, unit), z_bar, time_bar);
      if (layer.gated()) {
        logit_bar = (1.f - gate) * fmaf(z_bar, z - memory_[at_.shifts + vector], logit_bar);
        time_bar = fmaf(net_.parameters[layer.offsets.gate_weight + unit], logit_bar, time_bar);
      }
    }
    Rows::store_entries(bars(l), row, unit, bar);
    if (!net_.gated) return;
    memory_[at_.plain_bars + row * net_.stride + unit] = z_bar;
    memory_[at_.logit_bars + row * net_.stride + unit] = logit_bar;
  }

  // The output of layer l, as the pass had it.
  __device__ void restore(int stage_index, int l) const {
    const Layer& layer = net_.layers[l];
    const int width = Tile::padded(layer.out());
    float* const output = Rows::layer_input(l + 1);
    for (int first = 0; first < width; first += Tile::kStripe)
      Rows::for_entries(first, width, [&](int i, int j, int unit) {
        Entries entries = {};
        if (unit < layer.out()) {
          const float* const from = kept(stage_index, l, first / Tile::kStripe, i, j);
          entries[0] = from[0];
          const float slope = slopes_of(layer.activation, from[0], from[Tile::kThreads], 1.f).slope;
#pragma unroll
          for (int k = 1; k < Tile::kChannels; ++k)
            entries[k] = slope * from[(k + 1) * Tile::kThreads];
        }
        Rows::store_entries(output, Tile::row(i), unit, entries);
      });
  }

  // Adds up what biases, shifts and gates get: a thread has a unit, and takes rows in order.
  __device__ void add_unit_sums_of(const Layer& layer, const float* gated_bars) const {
    for (int unit = threadIdx.x; unit < layer.out(); unit += Tile::kThreads) {
      float sums[kBeta] = {};  // swish is not among the fused activations
      for (int row = 0; row < Tile::kRows; ++row) {
        const int at = row * net_.stride + unit;
        const float t = Rows::time_of(row), gated = gated_bars[at];
        sums[kGatedValue] += gated;
        if (net_.gated) {
          const float logit_bar = memory_[at_.logit_bars + at];
          sums[kTimedValue] = fmaf(t, memory_[at_.plain_bars + at], sums[kTimedValue]);
          sums[kLogit] += logit_bar;
          sums[kTimedLogit] = fmaf(t, logit_bar, sums[kTimedLogit]);
        } else {
          sums[kTimedValue] = fmaf(t, gated, sums[kTimedValue]);
        }
      }
      for (int kind = 0; kind < kBeta; ++kind)
        memory_[at_.unit_sums + kind * net_.units + layer.unit + unit] += sums[kind];
    }
  }

  // Ȳ, through the first layer.
  __device__ void pull_input(float* point_bar) const {
    const Layer& first_layer = net_.layers[0];
    const int width = Tile::padded(first_layer.in());
    for (int first = 0; first < width; first += Tile::kStripe) {
      typename Tile::Sums sums;
      Tile::multiply_stripe(bars(0), net_.stride, memory_ + at_.transposed[0],
                            Tile::padded(first_layer.out()), width, first, sums);
      Rows::for_entries(first, net_.dimension, [&](int ri, int uj, int unit) {
        point_bar[Tile::row(ri) * net_.dimension + unit] += sums[0][ri][uj];
      });
    }
  }
};

}  // namespace ffjord::cuda
