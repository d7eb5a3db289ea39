// The rows of a tile in shared memory, and a small net's field at them; the threads of a block work
// together. What steps them is fused_stepper.h, what pulls them back fused_reverse.h.
//
// FLOPs an evaluation: 2 (1 + K) Σ in out a row, and the activations. Bytes: none but those of
// shared memory; biases and gates come from the cache.
#pragma once

#include "cuda/activations.h"
#include "cuda/fused_net.h"
#include "cuda/regulariser_sums.h"
#include "cuda/tableau_sums.h"

namespace ffjord::cuda {

/// Lanes that share a row where channels are few.
inline constexpr int kFusedRowLanes = 4;

template <class Tile>
class FusedRows {
 public:
  __device__ FusedRows(const FusedNet& net, const FusedLayout& at, int groups_a_tile, int channels)
      : net_(net),
        at_(at),
        memory_(&shared_memory<float>()),
        groups_a_tile_(groups_a_tile),
        channels_(channels) {}

  __device__ Group& group(int index) const {
    return reinterpret_cast<Group*>(memory_ + at_.groups)[index];
  }
  __device__ Group& group_of(int row) const { return group(groups_a_tile_ == 1 ? 0 : row); }
  __device__ static int thread() { return static_cast<int>(threadIdx.x); }
  __device__ float* stage(int i) const {
    return memory_ + at_.stages + i * Tile::kRows * channels_;
  }
  __device__ float* layer_input(int l) const { return memory_ + at_.activations[l % 2]; }
  __device__ float time_of(int row) const {
    return memory_[at_.time + (groups_a_tile_ == 1 ? 0 : row)];
  }

  /// Copies a matrix (depth, width) into shared memory, padded by zeros as products take it.
  __device__ void load_matrix(const float* from, int depth, int width, float* to) const {
    const int stride = Tile::padded(width) + Tile::kWeightPadding;
    for (int e = threadIdx.x; e < Tile::padded(depth) * stride; e += Tile::kThreads) {
      const int k = e / stride, j = e % stride;
      to[e] = k < depth && j < width ? from[std::size_t(k) * width + j] : 0.f;
    }
  }
  __device__ void load_weights() const {
    for (int l = 0; l < net_.layer_count; ++l)
      load_matrix(net_.packed + net_.layers[l].packed, net_.layers[l].in, net_.layers[l].out,
                  memory_ + at_.weights[l]);
  }
  /// ε of the rows from `first` on, or unit vectors; zeros beyond the batch.
  __device__ void load_eps(const float* eps, int first, int batch) const {
    const int dimension = net_.dimension;
    for (int e = threadIdx.x; e < net_.tangents * Tile::kRows * dimension; e += Tile::kThreads) {
      const int i = e % dimension, r = e / dimension % Tile::kRows, k = e / dimension / Tile::kRows;
      float value = net_.unit && i == k ? 1.f : 0.f;
      if (!net_.unit && first + r < batch)
        value = eps[(std::size_t(k) * batch + first + r) * dimension + i];
      memory_[at_.eps + e] = value;
    }
  }
  /// Rows [rows][columns] of an array (B, columns) from or to shared memory; zeros beyond the
  /// batch.
  __device__ void load_rows(const float* from, int first, int batch, int columns, float* to) const {
    for (int e = threadIdx.x; e < Tile::kRows * columns; e += Tile::kThreads)
      to[e] = first + e / columns < batch ? from[std::size_t(first) * columns + e] : 0.f;
  }
  __device__ void store_rows(const float* from, int first, int batch, int columns,
                             float* to) const {
    for (int e = threadIdx.x; e < Tile::kRows * columns; e += Tile::kThreads)
      if (first + e / columns < batch) to[std::size_t(first) * columns + e] = from[e];
  }

  /// point ← y + h Σ_j a_ij k_j
  __device__ void combine_point(const DeviceTableau& tableau, int stage_index) const {
    for (int e = threadIdx.x; e < Tile::kRows * net_.dimension; e += Tile::kThreads) {
      const int r = e / net_.dimension, at = r * channels_ + e % net_.dimension;
      memory_[at_.point + e] =
          stage_argument(tableau, stage_index, static_cast<float>(group_of(r).h),
                         memory_[at_.state + at], [&](int j) { return stage(j)[at]; });
    }
    __syncthreads();
  }

  /// Rates [rows][S] of the points at t + c h of their groups. `visit` sees each entry of the
  /// pass, see forward().
  template <class Visit>
  __device__ void evaluate(double c, float* rates, const Visit& visit) const {
    set_times(c);
    fill_input();
    __syncthreads();
    for (int l = 0; l < net_.layer_count; ++l) {
      forward(l, visit);
      __syncthreads();
    }
    write_rates(rates);
    __syncthreads();
  }
  __device__ void evaluate(double c, float* rates) const {
    evaluate(c, rates, [](int, int, int, int, float, const float(&)[Tile::kChannels]) {});
  }

  /// The net's input: the points, and ε.
  __device__ void fill_input() const {
    float* const input = layer_input(0);
    const int dimension = net_.dimension, padded = Tile::padded(dimension);
    for (int e = threadIdx.x; e < Tile::kChannels * Tile::kRows * padded; e += Tile::kThreads) {
      const int i = e % padded, row = e / padded;  // row of [channels][rows]
      float value = 0.f;
      if (i < dimension)
        value = row < Tile::kRows ? memory_[at_.point + row * dimension + i]
                                  : memory_[at_.eps + (row - Tile::kRows) * dimension + i];
      input[row * net_.stride + i] = value;
    }
  }

 protected:
  __device__ void set_times(double c) const {
    for (int e = threadIdx.x; e < groups_a_tile_ * net_.units; e += Tile::kThreads) {
      const int index = e / net_.units, unit = e % net_.units;
      int l = 0;
      while (l + 1 < net_.layer_count && net_.layers[l + 1].unit <= unit) ++l;
      const Layer& layer = net_.layers[l];
      const LayerOffsets& from = layer.offsets;
      const int j = unit - layer.unit;
      const float t = static_cast<float>(group(index).t + c * group(index).h);
      if (unit == 0) memory_[at_.time + index] = t;
      float gate = 1.f;
      if (layer.gated())
        gate = sigmoid(
            fmaf(net_.parameters[from.gate_weight + j], t, net_.parameters[from.gate_bias + j]));
      const float shift = layer.shift_weight(net_.parameters, j) * t;
      memory_[at_.gates + e] = gate;
      memory_[at_.shifts + e] = shift;
      memory_[at_.offsets + e] = fmaf(gate, net_.parameters[from.bias + j], shift);
    }
  }

  /// visit(i, j, unit) for the present thread's entries of the stripe at `first` that lie below
  /// `width`.
  template <class Visit>
  __device__ __forceinline__ static void for_entries(int first, int width, const Visit& visit) {
#pragma unroll
    for (int i = 0; i < Tile::kRowsAThread; ++i)
#pragma unroll
      for (int j = 0; j < Tile::kUnitsAThread; ++j)
        if (const int unit = first + Tile::unit(j); unit < width) visit(i, j, unit);
  }
  /// All channels of an entry into [channels][rows][stride].
  __device__ void store_entries(float* to, int row, int unit,
                                const float (&entries)[Tile::kChannels]) const {
#pragma unroll
    for (int k = 0; k < Tile::kChannels; ++k)
      to[(k * Tile::kRows + row) * net_.stride + unit] = entries[k];
  }
  __device__ std::size_t vector_entry(int row, const Layer& layer, int unit) const {
    return (groups_a_tile_ == 1 ? 0 : row) * net_.units + layer.unit + unit;
  }

  /// Of the lanes of a row, which lie side by side in a warp.
  template <class Real>
  __device__ static Real sum_of_lanes(Real value) {
    // Rows fill whole warps in a broad tile, half a warp in a narrow one.
    const unsigned lanes =
        Tile::kRows * kFusedRowLanes >= 32 ? ~0u : (1u << Tile::kRows * kFusedRowLanes) - 1;
    for (int distance = kFusedRowLanes / 2; distance > 0; distance /= 2)
      value += __shfl_xor_sync(lanes, value, distance);
    return value;
  }

  /// A row's field where the net's output lies in shared memory, for regulariser_sums.h.
  struct Field {
    static constexpr int kLanes = kFusedRowLanes;
    const FusedRows& rows;
    const int row;
    const int end = rows.net_.dimension;

    __device__ int lane() const { return thread() % kFusedRowLanes; }
    __device__ int tangents() const { return rows.net_.tangents; }
    __device__ float weight() const { return rows.net_.weight; }
    __device__ std::size_t entry(int k, int i) const {
      return (k * Tile::kRows + row) * rows.net_.stride + i;
    }
    __device__ float output(int channel, int i) const {
      return rows.layer_input(rows.net_.layer_count)[entry(channel, i)];
    }
    __device__ float eps(int k, int i) const {
      return rows.memory_[rows.at_.eps + (k * Tile::kRows + row) * end + i];
    }
    __device__ float velocity(int i) const {
      return output(0, i) -
             (rows.net_.residual ? rows.memory_[rows.at_.point + row * end + i] : 0.f);
    }
    __device__ float tangent(int k, int i) const {
      return output(k + 1, i) - (rows.net_.residual ? eps(k, i) : 0.f);
    }
    __device__ static float sum_of_lanes(float value) { return FusedRows::sum_of_lanes(value); }
  };
  /// Of the present thread's lanes; kRows or more where it has none.
  __device__ static int field_row() { return thread() / kFusedRowLanes; }

  const FusedNet& net_;
  const FusedLayout& at_;
  float* const memory_;
  const int groups_a_tile_, channels_;

 private:
  // visit(l, stripe, i, j, a, {z, u_k}) for each entry of the present thread.
  template <class Visit>
  __device__ void forward(int l, const Visit& visit) const {
    const Layer& layer = net_.layers[l];
    const int width = Tile::padded(layer.out);
    float* const output = layer_input(l + 1);
    for (int first = 0; first < width; first += Tile::kStripe) {
      typename Tile::Sums sums;
      Tile::multiply_stripe(layer_input(l), net_.stride, memory_ + at_.weights[l],
                            Tile::padded(layer.in), width, first, sums);
      for_entries(first, width, [&](int i, int j, int unit) {
        const int row = Tile::row(i);
        float entries[Tile::kChannels] = {};
        if (unit < layer.out) {
          const std::size_t vector = vector_entry(row, layer, unit);
          const float gate = memory_[at_.gates + vector];
          const float z = fmaf(gate, sums[0][i][j], memory_[at_.offsets + vector]);
          const Activated activated = activate(layer.activation, z, 1.f);
          entries[0] = z;
#pragma unroll
          for (int k = 1; k < Tile::kChannels; ++k) entries[k] = gate * sums[k][i][j];
          visit(l, first / Tile::kStripe, i, j, activated.a, entries);
          entries[0] = activated.a;
#pragma unroll
          for (int k = 1; k < Tile::kChannels; ++k) entries[k] *= activated.slope;
        }
        store_entries(output, row, unit, entries);
      });
    }
  }

  // f, its divergence and the integrands of the regularisers; a few lanes a row.
  __device__ void write_rates(float* rates) const {
    if (field_row() >= Tile::kRows) return;
    const Field field{*this, field_row()};
    float* const to = rates + field.row * channels_;
    float divergence = 0.f;
    for (int i = field.lane(); i < net_.dimension; i += kFusedRowLanes) {
      to[i] = field.velocity(i);
      for (int k = 0; k < net_.tangents; ++k)
        divergence = fmaf(field.eps(k, i), field.output(k + 1, i), divergence);
    }
    divergence = net_.weight * sum_of_lanes(divergence);
    if (field.lane() == 0)
      to[net_.dimension] = net_.residual ? divergence - net_.dimension : divergence;
    for (int r = 0; r < net_.regularisers.count; ++r) {
      const float rate = net_.direction * integrand(net_.regularisers[r], field);
      if (field.lane() == 0) to[net_.dimension + 1 + r] = rate;
    }
  }
};

}  // namespace ffjord::cuda
