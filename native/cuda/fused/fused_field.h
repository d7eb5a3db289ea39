// A small net's field at the rows of a tile, whose activations lie in shared memory, layer by
// layer; the threads of a block share the units of a layer.
//
// FLOPs an evaluation: 2 (1 + K) Σ in out a row, and the activations. Bytes: none but those of
// shared memory; biases and gates come from the cache.
#pragma once

#include "cuda/fused/fused_rows.h"

namespace ffjord::cuda {

template <class Tile>
class FusedField : public FusedRows<Tile> {
  using Rows = FusedRows<Tile>;

 public:
  using Rows::Rows;

  __device__ float* layer_input(int l) const { return memory_ + at_.activations[l % 2]; }

  /// W, padded as products take it.
  __device__ void load_matrix(const float* from, int depth, int width, float* to) const {
    Rows::load_matrix(from, depth, width, Tile::padded(depth), Tile::padded(width), to);
  }
  __device__ void load_weights() const {
    for (int l = 0; l < net_.layer_count; ++l)
      load_matrix(net_.packed + net_.layers[l].packed, net_.layers[l].in(), net_.layers[l].out(),
                  memory_ + at_.weights[l]);
  }
  /// Rates [rows][S] of the points at t + c h of their groups. `visit` sees each entry of the
  /// pass, see forward().
  template <class Visit>
  __device__ void evaluate(double c, float* rates, const Visit& visit) const {
    Rows::set_times(c);
    __syncthreads();
    fill_input();
    __syncthreads();
    for (int l = 0; l < net_.layer_count; ++l) {
      forward(l, visit);
      __syncthreads();
    }
    Rows::write_rates(layer_input(net_.layer_count), rates);
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
  using Rows::at_, Rows::memory_, Rows::net_;

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

 private:
  // visit(l, stripe, i, j, a, {z, u_k}) for each entry of the present thread.
  template <class Visit>
  __device__ void forward(int l, const Visit& visit) const {
    const Layer& layer = net_.layers[l];
    const int width = Tile::padded(layer.out());
    float* const output = layer_input(l + 1);
    for (int first = 0; first < width; first += Tile::kStripe) {
      typename Tile::Sums sums;
      Tile::multiply_stripe(layer_input(l), net_.stride, memory_ + at_.weights[l],
                            Tile::padded(layer.in()), width, first, sums);
      for_entries(first, width, [&](int i, int j, int unit) {
        const int row = Tile::row(i);
        float entries[Tile::kChannels] = {};
        if (unit < layer.out()) {
          const std::size_t vector = Rows::vector_entry(row, layer, unit);
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
};

}  // namespace ffjord::cuda
