// The reverse of the steps that fused_stepper.h makes: a block recomputes the stages of a step of
// its tile, then pulls a cotangent back through them. What goes through the layers, and sums the
// weights' gradients, is fused_tile_reverse.h or fused_fragment_reverse.h.
#pragma once

#include "cuda/fused/fused_kept_rows.h"

namespace ffjord::cuda {

template <class Layers>
class FusedReverse : public Layers {
  using Tile = typename Layers::Tile;
  using Layers::at_, Layers::channels_, Layers::group, Layers::group_of, Layers::groups_a_tile_,
      Layers::memory_, Layers::net_, Layers::s_, Layers::stage, Layers::thread;

 public:
  __device__ FusedReverse(const FusedPullbackArguments& s, const DeviceTableau& tableau)
      : Layers(s), tableau_(tableau) {}

  __device__ void run(int tile) {
    first_row_ = tile * Tile::kRows;
    Layers::clear(at_.state, Tile::kRows * channels_);
    load_groups();
    Layers::load_eps(s_.eps, first_row_, s_.batch);
    Layers::load_rows(s_.bar, first_row_, s_.batch, channels_, memory_ + at_.bar);
    if (threadIdx.x < Tile::kRows) row_sum(threadIdx.x) = 0;
    __syncthreads();
    int most = 0;
    for (int i = 0; i < groups_a_tile_; ++i) most = max(most, group(i).step);
#pragma unroll 1
    for (int back = 0; back < most; ++back) pull_step(back);
    Layers::store_rows(memory_ + at_.bar, first_row_, s_.batch, channels_, s_.bar);
    if (threadIdx.x < Tile::kRows && first_row_ + thread() < s_.batch)
      s_.row_sums[first_row_ + threadIdx.x] += row_sum(threadIdx.x);
    __syncthreads();
  }

 private:
  __device__ double& row_sum(int row) const {
    return reinterpret_cast<double*>(memory_ + at_.row_sums)[row];
  }
  __device__ float* point_bars(int i) const {
    return memory_ + at_.point_bars + i * Tile::kRows * net_.dimension;
  }

  __device__ int group_index() const {
    return first_row_ / s_.group_rows + (groups_a_tile_ == 1 ? 0 : thread());
  }
  __device__ void load_groups() const {
    if (thread() >= groups_a_tile_) return;
    const int index = group_index();
    group(threadIdx.x) = index < s_.group_count ? s_.groups[index] : Group();
  }
  // The `back`-th step from the end, and the states before it; groups with fewer rest.
  __device__ void load_step(int back) const {
    if (thread() < groups_a_tile_) {
      Group& mine = group(threadIdx.x);
      mine.present = mine.step - 1 - back;
      mine.working = mine.present >= 0;
      if (mine.working) {
        const Step& kept =
            s_.tape.steps[std::size_t(group_index()) * s_.tape.capacity + mine.present];
        mine.t = kept.t;
        mine.h = kept.h;
      }
    }
    __syncthreads();
#pragma unroll 1
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
#pragma unroll 1
    for (int i = 0; i < s_.stages; ++i) {
      Layers::combine_point(tableau_, i);
      Layers::evaluate(i, tableau_.c[i], stage(i));
    }
#pragma unroll 1
    for (int i = s_.stages; i-- > 0;) pull_stage(i);
#pragma unroll 1
    for (int e = threadIdx.x; e < Tile::kRows * net_.dimension; e += Tile::kThreads) {
      const int r = e / net_.dimension;
      if (!group_of(r).working) continue;
      float sum = 0.f;
#pragma unroll 1
      for (int i = 0; i < s_.stages; ++i) sum += point_bars(i)[e];
      memory_[at_.bar + r * channels_ + e % net_.dimension] += sum;
    }
    __syncthreads();
  }

  // k̄_i = h w_i λ + h Σ_(j>i) a_ji Ȳ_j, then Ȳ_i and the sums of the weights.
  __device__ void pull_stage(int i) {
#pragma unroll 1
    for (int e = threadIdx.x; e < Tile::kRows * channels_; e += Tile::kThreads) {
      const int r = e / channels_, channel = e % channels_;
      float sum = tableau_.b[i] * memory_[at_.bar + e];
      if (channel < net_.dimension)
#pragma unroll 1
        for (int j = i + 1; j < s_.stages; ++j)
          if (tableau_.a[j][i] != 0.f)
            sum = fmaf(tableau_.a[j][i], point_bars(j)[r * net_.dimension + channel], sum);
      const Group& group = group_of(r);
      memory_[at_.rate_bar + e] =
          group.working && first_row_ + r < s_.batch ? static_cast<float>(group.h) * sum : 0.f;
    }
    Layers::combine_point(tableau_, i);
    Layers::enter(tableau_.c[i]);
    const float* const output = Layers::output(i);
    __syncthreads();
    add_rate_products(i);
    write_seeds(i, output);
    __syncthreads();
    Layers::pull(i, point_bars(i));
    __syncthreads();
    add_time_bars(tableau_.c[i]);
  }

  // Σ h h̄: k̄_i · k_i.
  __device__ void add_rate_products(int i) const {
    const int r = threadIdx.x / Layers::kRowLanes, lane = threadIdx.x % Layers::kRowLanes;
    if (r >= Tile::kRows) return;
    double sum = 0;
    for (int channel = lane; channel < channels_; channel += Layers::kRowLanes) {
      const int at = r * channels_ + channel;
      sum += double(memory_[at_.rate_bar + at]) * stage(i)[at];
    }
    sum = Layers::sum_of_lanes(sum);
    if (lane == 0) row_sum(r) += sum;
  }

  // Σ t t̄.
  __device__ void add_time_bars(double c) const {
    if (thread() >= Tile::kRows) return;
    const float* const parts = memory_ + at_.time_parts;
    float sum = 0.f;
    for (int part = 0; part < Layers::kTimeParts; ++part)
      sum += parts[part * Tile::kRows + thread()];
    const Group& group = group_of(thread());
    row_sum(thread()) += (group.t + c * group.h) * sum;
  }

  // Cotangents of the net's output, f and J ε_k; Ȳ_i begins with what reaches z past a residual
  // net.
  __device__ void write_seeds(int stage_index, const float* output) {
    if (Layers::field_row() >= Tile::kRows) return;
    const typename Layers::Field field{*this, output, Layers::field_row()};
    const float* const rate_bar = memory_ + at_.rate_bar + field.row * channels_;
    float* const f_bar = Layers::seeds();
    float* const tangent_bar = f_bar + Tile::kRows * net_.stride;
    const float divergence_bar = rate_bar[net_.dimension] * net_.weight;
    for (int i = field.lane(); i < net_.dimension; i += Layers::kRowLanes) {
      f_bar[field.entry(0, i)] = rate_bar[i];
      for (int k = 0; k < net_.tangents; ++k)
        tangent_bar[field.entry(k, i)] = field.eps(k, i) * divergence_bar;
    }
    for (int r = 0; r < net_.regularisers.count; ++r)
      pull_integrand(net_.regularisers[r], field, net_.direction * rate_bar[net_.dimension + 1 + r],
                     f_bar, tangent_bar);
    for (int i = field.lane(); i < net_.dimension; i += Layers::kRowLanes)
      point_bars(stage_index)[field.row * net_.dimension + i] =
          net_.residual ? -f_bar[field.entry(0, i)] : 0.f;
  }

  const DeviceTableau& tableau_;
  int first_row_ = 0;
};

/// The body of a kernel that pulls back.
template <class Layers>
__device__ __forceinline__ void pull_tiles(const FusedPullbackArguments& s,
                                           const DeviceTableau& tableau) {
  FusedReverse<Layers> reverse(s, tableau);
#pragma unroll 1
  for (int tile = s.first_tile + blockIdx.x; tile < s.end_tile; tile += gridDim.x)
    reverse.run(tile);
  if (s.unit_sums) reverse.store_sums();
}

/// A kernel of a pullback, by the name that launches give.
struct FusedPullbackKernel {
  const char* name = nullptr;
  void (*kernel)(FusedPullbackArguments, DeviceTableau) = nullptr;
  int threads = 0;
  int kept = 0;                              ///< floats of an entry of a pass
  int (*places_of)(const Layer&) = nullptr;  ///< entries of a layer's pass that a thread has
};

template <class Layers>
FusedPullbackKernel pullback_kernel(const char* name,
                                    void (*kernel)(FusedPullbackArguments, DeviceTableau)) {
  using Tile = typename Layers::Tile;
  return {name, kernel, Tile::kThreads, Tile::kChannels + 1, Layers::places_of};
}

}  // namespace ffjord::cuda
