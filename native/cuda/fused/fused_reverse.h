// The reverse of the steps that fused_stepper.h makes: a block recomputes the stages of a step of
// its tile, then pulls a cotangent back through them and sums the weights' gradients.
#pragma once

#include "cuda/fused/fused_field.h"
#include "cuda/net/layer_backward.h"
#include "cuda/step/step_rows.h"

namespace ffjord::cuda {

struct FusedPullbackArguments {
  FusedNet net;
  FusedLayout layout;
  const Group* groups = nullptr;  ///< as the solve left them
  int group_count = 0;
  StepTape tape;
  int batch = 0, channels = 0, groups_a_tile = 1;
  int first_tile = 0, end_tile = 0;             ///< of this launch
  int stages = 0;                               ///< that are differentiated
  int places = 0;                               ///< entries of a pass that a thread has
  int first_place[FusedNet::kMostLayers] = {};  ///< of a layer among them
  const float* eps = nullptr;                   ///< (K, B, D)
  float* bar = nullptr;                         ///< λ (B, S)
  double* row_sums = nullptr;                   ///< (B)
  float* passes = nullptr;                      ///< [blocks][stages][places][a, z, u_k][threads]
  float* slices[FusedNet::kMostLayers] = {};    ///< W̄ [blocks][out][in]
  float* unit_sums = nullptr;  ///< [kUnitSums][blocks][units]; these two null: not wanted
};

template <class Tile>
class FusedReverse : FusedField<Tile> {
  using Rows = FusedField<Tile>;
  using Rows::at_, Rows::channels_, Rows::group, Rows::group_of, Rows::groups_a_tile_,
      Rows::memory_, Rows::net_, Rows::stage, Rows::thread;
  static constexpr int kKept = Tile::kChannels + 1;
  using Entries = float[Tile::kChannels];

 public:
  __device__ FusedReverse(const FusedPullbackArguments& s, const DeviceTableau& tableau)
      : Rows(s.net, s.layout, s.groups_a_tile, s.channels), s_(s), tableau_(tableau) {
    Rows::load_weights();
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      Rows::load_matrix(net_.packed + layer.packed + layer.weights(), layer.out(), layer.in(),
                        memory_ + at_.transposed[l]);
      clear(at_.sums[l], Tile::padded(layer.in()) * Tile::padded(layer.out()));
    }
    clear(at_.unit_sums, kUnitSums * net_.units);
  }

  __device__ void run(int tile) {
    first_row_ = tile * Tile::kRows;
    clear(at_.state, Tile::kRows * channels_);
    load_groups(tile);
    Rows::load_eps(s_.eps, first_row_, s_.batch);
    Rows::load_rows(s_.bar, first_row_, s_.batch, channels_, memory_ + at_.bar);
    if (threadIdx.x < Tile::kRows) row_sum(threadIdx.x) = 0;
    __syncthreads();
    int most = 0;
    for (int i = 0; i < groups_a_tile_; ++i) most = max(most, group(i).step);
    for (int back = 0; back < most; ++back) pull_step(back);
    Rows::store_rows(memory_ + at_.bar, first_row_, s_.batch, channels_, s_.bar);
    if (threadIdx.x < Tile::kRows && first_row_ + thread() < s_.batch)
      s_.row_sums[first_row_ + threadIdx.x] += row_sum(threadIdx.x);
    __syncthreads();
  }

  // Adds to those of the launches before.
  __device__ void store_sums() const {
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      float* const to = s_.slices[l] + blockIdx.x * layer.weights();
      const int width = Tile::padded(layer.out());
      for (int e = threadIdx.x; e < layer.out() * layer.in(); e += Tile::kThreads)
        add(to[e], memory_[at_.sums[l] + e % layer.in() * width + e / layer.in()]);
    }
    for (int e = threadIdx.x; e < kUnitSums * net_.units; e += Tile::kThreads)
      add(s_.unit_sums[(std::size_t(e / net_.units) * gridDim.x + blockIdx.x) * net_.units +
                       e % net_.units],
          memory_[at_.unit_sums + e]);
  }

 private:
  __device__ void clear(int offset, int count) const {
    for (int e = threadIdx.x; e < count; e += Tile::kThreads) memory_[offset + e] = 0.f;
  }
  __device__ void add(float& sum, float value) const {
    sum = s_.first_tile == 0 ? value : sum + value;
  }
  __device__ double& row_sum(int row) const {
    return reinterpret_cast<double*>(memory_ + at_.row_sums)[row];
  }
  __device__ float* bars(int l) const { return memory_ + at_.bars[l % 2]; }
  __device__ float* point_bars(int i) const {
    return memory_ + at_.point_bars + i * Tile::kRows * net_.dimension;
  }

  __device__ int group_index(int tile) const {
    if (s_.group_count == 1) return 0;
    return groups_a_tile_ == 1 ? tile : tile * groups_a_tile_ + thread();
  }
  __device__ void load_groups(int tile) const {
    if (thread() >= groups_a_tile_) return;
    const int index = group_index(tile);
    group(threadIdx.x) = index < s_.group_count ? s_.groups[index] : Group();
  }
  // The `back`-th step from the end, and the states before it; groups with fewer rest.
  __device__ void load_step(int back) const {
    if (thread() < groups_a_tile_) {
      Group& mine = group(threadIdx.x);
      mine.present = mine.step - 1 - back;
      mine.working = mine.present >= 0;
      if (mine.working) {
        const int index = group_index(first_row_ / Tile::kRows);
        const Step& kept = s_.tape.steps[std::size_t(index) * s_.tape.capacity + mine.present];
        mine.t = kept.t;
        mine.h = kept.h;
      }
    }
    __syncthreads();
    for (int e = threadIdx.x; e < Tile::kRows * net_.dimension; e += Tile::kThreads) {
      const int r = e / net_.dimension, column = e % net_.dimension, row = first_row_ + r;
      if (row < s_.batch && group_of(r).working)
        memory_[at_.state + r * channels_ + column] =
            s_.tape.states[(std::size_t(group_of(r).present) * s_.batch + row) * s_.tape.columns +
                           column];
    }
    __syncthreads();
  }

  __device__ void pull_step(int back) {
    load_step(back);
    for (int i = 0; i < s_.stages; ++i) {
      Rows::combine_point(tableau_, i);
      Rows::evaluate(tableau_.c[i], stage(i),
                     [&](int l, int stripe, int ri, int uj, float a, const Entries& entries) {
                       float* const to = kept(i, l, stripe, ri, uj);
                       to[0] = a;
#pragma unroll
                       for (int k = 0; k < Tile::kChannels; ++k)
                         to[(k + 1) * Tile::kThreads] = entries[k];
                     });
    }
    for (int i = s_.stages; i-- > 0;) pull_stage(i);
    for (int e = threadIdx.x; e < Tile::kRows * net_.dimension; e += Tile::kThreads) {
      const int r = e / net_.dimension;
      if (!group_of(r).working) continue;
      float sum = 0.f;
      for (int i = 0; i < s_.stages; ++i) sum += point_bars(i)[e];
      memory_[at_.bar + r * channels_ + e % net_.dimension] += sum;
    }
    __syncthreads();
  }

  // What a pass left for entry (i, j) of the present thread: a, z, u_k, a block of threads apart.
  __device__ float* kept(int stage_index, int l, int stripe, int i, int j) const {
    const int place =
        s_.first_place[l] + (stripe * Tile::kRowsAThread + i) * Tile::kUnitsAThread + j;
    const std::size_t entry =
        (std::size_t(blockIdx.x) * s_.stages + stage_index) * s_.places + place;
    return s_.passes + entry * kKept * Tile::kThreads + threadIdx.x;
  }
  // k̄_i = h w_i λ + h Σ_(j>i) a_ji Ȳ_j, then Ȳ_i and the sums of the weights.
  __device__ void pull_stage(int i) {
    for (int e = threadIdx.x; e < Tile::kRows * channels_; e += Tile::kThreads) {
      const int r = e / channels_, channel = e % channels_;
      float sum = tableau_.b[i] * memory_[at_.bar + e];
      if (channel < net_.dimension)
        for (int j = i + 1; j < s_.stages; ++j)
          if (tableau_.a[j][i] != 0.f)
            sum = fmaf(tableau_.a[j][i], point_bars(j)[r * net_.dimension + channel], sum);
      const Group& group = group_of(r);
      memory_[at_.rate_bar + e] =
          group.working && first_row_ + r < s_.batch ? static_cast<float>(group.h) * sum : 0.f;
    }
    Rows::combine_point(tableau_, i);
    Rows::set_times(tableau_.c[i]);
    __syncthreads();
    add_rate_products(i);
    write_seeds(i);
    float time_bars[Tile::kRowsAThread] = {};
    for (int l = net_.layer_count; l-- > 0;) pull_layer(i, l, time_bars);
    pull_input(i);
    add_time_bars(tableau_.c[i], time_bars);
    __syncthreads();
  }

  // Σ h h̄: k̄_i · k_i.
  __device__ void add_rate_products(int i) const {
    const int r = threadIdx.x / Rows::kRowLanes, lane = threadIdx.x % Rows::kRowLanes;
    if (r >= Tile::kRows) return;
    double sum = 0;
    for (int channel = lane; channel < channels_; channel += Rows::kRowLanes) {
      const int at = r * channels_ + channel;
      sum += double(memory_[at_.rate_bar + at]) * stage(i)[at];
    }
    sum = Rows::sum_of_lanes(sum);
    if (lane == 0) row_sum(r) += sum;
  }

  // Σ t t̄, over the lanes and the warps that share the present thread's rows.
  __device__ void add_time_bars(double c, float (&time_bars)[Tile::kRowsAThread]) const {
    float* const parts = memory_ + at_.time_parts;
    const int warp = Tile::kWarpsAcross == 1 ? 0 : warp_index();
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i) {
      for (int distance = Tile::kLanesAcross / 2; distance > 0; distance /= 2)
        time_bars[i] += __shfl_xor_sync(~0u, time_bars[i], distance);
      if (thread() % Tile::kLanesAcross == 0)
        parts[warp * Tile::kRows + Tile::row(i)] = time_bars[i];
    }
    __syncthreads();
    if (thread() >= Tile::kRows) return;
    float sum = 0.f;
    for (int w = 0; w < Tile::kWarpsAcross; ++w) sum += parts[w * Tile::kRows + thread()];
    const Group& group = group_of(thread());
    row_sum(thread()) += (group.t + c * group.h) * sum;
  }

  // Writes cotangents of the net's output, f and J ε_k, where those of a layer above it would be;
  // Ȳ_i begins with what reaches z past a residual net.
  __device__ void write_seeds(int stage_index) {
    restore(stage_index, net_.layer_count - 1);
    __syncthreads();
    if (Rows::field_row() < Tile::kRows) {
      const typename Rows::Field field{*this, Rows::layer_input(net_.layer_count),
                                       Rows::field_row()};
      const float* const rate_bar = memory_ + at_.rate_bar + field.row * channels_;
      float* const f_bar = bars(net_.layer_count);
      float* const tangent_bar = f_bar + Tile::kRows * net_.stride;
      const float divergence_bar = rate_bar[net_.dimension] * net_.weight;
      for (int i = field.lane(); i < net_.dimension; i += Rows::kRowLanes) {
        f_bar[field.entry(0, i)] = rate_bar[i];
        for (int k = 0; k < net_.tangents; ++k)
          tangent_bar[field.entry(k, i)] = field.eps(k, i) * divergence_bar;
      }
      for (int r = 0; r < net_.regularisers.count; ++r)
        pull_integrand(net_.regularisers[r], field,
                       net_.direction * rate_bar[net_.dimension + 1 + r], f_bar, tangent_bar);
      for (int i = field.lane(); i < net_.dimension; i += Rows::kRowLanes)
        point_bars(stage_index)[field.row * net_.dimension + i] =
            net_.residual ? -f_bar[field.entry(0, i)] : 0.f;
    }
    __syncthreads();
  }

  // (ā, ǡ) → (g z̄, g ū) of a layer, and the sums of its weights.
  __device__ void pull_layer(int stage_index, int l, float (&time_bars)[Tile::kRowsAThread]) {
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

  // Ȳ_i, through the first layer.
  __device__ void pull_input(int i) {
    const Layer& first_layer = net_.layers[0];
    const int width = Tile::padded(first_layer.in());
    for (int first = 0; first < width; first += Tile::kStripe) {
      typename Tile::Sums sums;
      Tile::multiply_stripe(bars(0), net_.stride, memory_ + at_.transposed[0],
                            Tile::padded(first_layer.out()), width, first, sums);
      Rows::for_entries(first, net_.dimension, [&](int ri, int uj, int unit) {
        point_bars(i)[Tile::row(ri) * net_.dimension + unit] += sums[0][ri][uj];
      });
    }
  }

  const FusedPullbackArguments& s_;
  const DeviceTableau& tableau_;
  int first_row_ = 0;
};

}  // namespace ffjord::cuda
