// The rows of a tile in shared memory, with their stages and what t makes of biases and gates; the
// threads of a block work together. A small net's field at them is fused_field.h or
// fused_fragment_field.h; what steps them is fused_stepper.h, what pulls them back fused_reverse.h.
//
// Loops over a tile's rows have few trips. Unrolled, as they are unless one forbids it, they made
// up a third of a kernel, which the instruction cache does not hold.
#pragma once

#include "cuda/fused/fused_net.h"
#include "cuda/net/activations.h"
#include "cuda/net/regulariser_sums.h"
#include "cuda/step/tableau_sums.h"

namespace ffjord::cuda {

template <class FusedTileKind>
class FusedRows {
 public:
  using Tile = FusedTileKind;
  /// Lanes that share a row where channels are few: neighbours in a warp.
  static constexpr int kRowLanes =
      Tile::kThreads < 4 * Tile::kRows ? Tile::kThreads / Tile::kRows : 4;

  __device__ FusedRows(const FusedNet& net, const FusedLayout& at, int groups_a_tile, int channels)
      : net_(net),
        at_(at),
        memory_(&shared_memory<float>()),
        groups_a_tile_(groups_a_tile),
        channels_(channels) {}

  __device__ Group& group(int index) const {
    return reinterpret_cast<Group*>(memory_ + at_.groups)[index];
  }
  __device__ Group& group_of(int row) const { return group(group_place(row)); }
  __device__ static int thread() { return thread_index_anew(); }
  __device__ float* stage(int i) const {
    return memory_ + at_.stages + i * Tile::kRows * channels_;
  }
  __device__ float time_of(int row) const { return memory_[at_.time + group_place(row)]; }

  /// Copies a matrix (depth, width) into shared memory (rows, columns), padded by zeros.
  __device__ static void load_matrix(const float* from, int depth, int width, int rows, int columns,
                                     float* to) {
#pragma unroll 1
    for (int e = thread(); e < rows * columns; e += Tile::kThreads) {
      const int k = e / columns, j = e % columns;
      to[e] = k < depth && j < width ? from[std::size_t(k) * width + j] : 0.f;
    }
  }
  /// ε of the rows from `first` on, or unit vectors; zeros beyond the batch.
  __device__ void load_eps(const float* eps, int first, int batch) const {
    const int dimension = net_.dimension;
#pragma unroll 1
    for (int e = thread(); e < net_.tangents * Tile::kRows * dimension; e += Tile::kThreads) {
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
#pragma unroll 1
    for (int e = thread(); e < Tile::kRows * columns; e += Tile::kThreads)
      to[e] = first + e / columns < batch ? from[std::size_t(first) * columns + e] : 0.f;
  }
  __device__ void store_rows(const float* from, int first, int batch, int columns,
                             float* to) const {
#pragma unroll 1
    for (int e = thread(); e < Tile::kRows * columns; e += Tile::kThreads)
      if (first + e / columns < batch) to[std::size_t(first) * columns + e] = from[e];
  }

  /// point ← y + h Σ_j a_ij k_j, which is there behind the next barrier.
  __device__ void combine_point(const DeviceTableau& tableau, int stage_index) const {
#pragma unroll 1
    for (int e = thread(); e < Tile::kRows * net_.dimension; e += Tile::kThreads) {
      const int r = e / net_.dimension, at = r * channels_ + e % net_.dimension;
      memory_[at_.point + e] =
          stage_argument(tableau.a[stage_index], stage_index, static_cast<float>(group_of(r).h),
                         memory_[at_.state + at], [&](int j) { return stage(j)[at]; });
    }
  }

 protected:
  __device__ void set_times(double c) const {
#pragma unroll 1
    for (int e = thread(); e < groups_a_tile_ * net_.units; e += Tile::kThreads) {
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

  __device__ std::size_t vector_entry(int row, const Layer& layer, int unit) const {
    return group_place(row) * net_.units + layer.unit + unit;
  }

  /// Adds up over the lanes of a row, which lie side by side in a warp.
  template <class Real>
  __device__ static Real sum_of_lanes(Real value) {
    // Rows fill whole warps in a broad tile, half a warp in a narrow one.
    const unsigned lanes =
        Tile::kRows * kRowLanes >= 32 ? ~0u : (1u << Tile::kRows * kRowLanes) - 1;
    for (int distance = kRowLanes / 2; distance > 0; distance /= 2)
      value += __shfl_xor_sync(lanes, value, distance);
    return value;
  }

  /// A row's field where the net's output lies in shared memory, for regulariser_sums.h.
  struct Field {
    static constexpr int kLanes = kRowLanes;
    const FusedRows& rows;
    const float* const values;  ///< [channels][rows][stride]
    const int row;
    const int end = rows.net_.dimension;

    __device__ int lane() const { return thread() % kRowLanes; }
    __device__ int tangents() const { return rows.net_.tangents; }
    __device__ float weight() const { return rows.net_.weight; }
    __device__ std::size_t entry(int k, int i) const {
      return (k * Tile::kRows + row) * rows.net_.stride + i;
    }
    __device__ float output(int channel, int i) const { return values[entry(channel, i)]; }
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
  /// The row that the present thread's lanes share; kRows or more where there is none.
  __device__ static int field_row() { return thread() / kRowLanes; }

  /// f, its divergence and the integrands of the regularisers, by the net's output; a few lanes a
  /// row.
  __device__ void write_rates(const float* output, float* rates) const {
    if (field_row() >= Tile::kRows) return;
    const Field field{*this, output, field_row()};
    float* const to = rates + field.row * channels_;
    float divergence = 0.f;
#pragma unroll 1
    for (int i = field.lane(); i < net_.dimension; i += kRowLanes) {
      to[i] = field.velocity(i);
      for (int k = 0; k < net_.tangents; ++k)
        divergence = fmaf(field.eps(k, i), field.output(k + 1, i), divergence);
    }
    divergence = net_.weight * sum_of_lanes(divergence);
    if (field.lane() == 0)
      to[net_.dimension] = net_.residual ? divergence - net_.dimension : divergence;
#pragma unroll 1
    for (int r = 0; r < net_.regularisers.count; ++r) {
      const float rate = net_.direction * integrand(net_.regularisers[r], field);
      if (field.lane() == 0) to[net_.dimension + 1 + r] = rate;
    }
  }

  /// The number of a row's group among those of the tile, which have as many rows each.
  __device__ int group_place(int row) const { return row * groups_a_tile_ / Tile::kRows; }

  const FusedNet& net_;
  const FusedLayout& at_;
  float* const memory_;
  const int groups_a_tile_, channels_;
};

}  // namespace ffjord::cuda
