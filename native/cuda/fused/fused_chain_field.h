// A small net's field at the rows of a tile, whose activations stay in registers from the first
// layer to the last (fused_chain_tile.h): a warp evaluates its 16 rows by itself.
//
// FLOPs an evaluation: 2 (1 + K) Σ in out a row, and the activations. Bytes: none but those of
// shared memory; biases and gates come from the cache.
#pragma once

#include "cuda/fused/fused_chain_tile.h"
#include "cuda/fused/fused_rows.h"

namespace ffjord::cuda {

template <class Tile>
class FusedChainField : public FusedRows<Tile> {
  using Rows = FusedRows<Tile>;
  using Entries = typename Tile::Entries[Tile::kChannels];

 public:
  using Rows::Rows;

  __device__ void load_weights() const {
#pragma unroll 1
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      unsigned largest = 0;
      for (std::size_t e = threadIdx.x; e < layer.weights(); e += Tile::kThreads)
        largest = max(largest, magnitude(net_.packed[layer.packed + e]));
      for (int distance = 16; distance > 0; distance /= 2)
        largest = max(largest, __shfl_xor_sync(~0u, largest, distance));
      if (lane_index() == 0) largest_weights(l)[warp_index()] = largest;
    }
    __syncthreads();
#pragma unroll 1
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      if (net_.has_few_inputs(l))
        Rows::load_matrix(net_.packed + layer.packed, layer.in(), layer.out(), layer.in(),
                          Tile::padded(layer.out()), memory_ + at_.weights[l]);
      else
        Tile::split_weights(net_.packed + layer.packed, layer.in(), layer.out(),
                            power_of_two(weight_exponent(l)), weights(l));
    }
  }

  /// It does what its namesake of FusedField does.
  __device__ void evaluate(double c, float* rates) const {
    Rows::set_times(c);
    __syncthreads();
    Entries entries;
    if (!net_.has_few_inputs(0)) read_input(entries);
#pragma unroll 1
    for (int l = 0; l < net_.layer_count; ++l) {
      if (net_.has_few_inputs(l))
        multiply_few(entries);
      else
        Tile::with_steps(net_.layers[l].in(),
                         [&](auto steps) { multiply<decltype(steps)::value>(l, entries); });
      activate_entries(net_.layers[l], entries);
    }
    float* const output = memory_ + at_.activations[0];
    write_output(entries, output);
    __syncwarp();
    Rows::write_rates(output, rates);
    __syncthreads();
  }

 protected:
  using Rows::at_, Rows::memory_, Rows::net_;

 private:
  __device__ unsigned (&largest_weights(int l) const)[Tile::kWarps] {
    using Largest = unsigned[Tile::kWarps];
    return reinterpret_cast<Largest*>(memory_ + at_.largest_weights)[l];
  }
  // The exponent by which a layer's weights are scaled.
  __device__ int weight_exponent(int l) const {
    unsigned largest = 0;
#pragma unroll
    for (int warp = 0; warp < Tile::kWarps; ++warp)
      largest = max(largest, largest_weights(l)[warp]);
    return scale_exponent(largest);
  }
  __device__ uint4* weights(int l) const {
    return reinterpret_cast<uint4*>(memory_ + at_.weights[l]);
  }

  // The points, or ε of a tangent [rows][D].
  __device__ const float* input(int channel) const {
    if (channel == 0) return memory_ + at_.point;
    return memory_ + at_.eps + (channel - 1) * Tile::kRows * net_.dimension;
  }
  __device__ __forceinline__ void read_input(Entries& entries) const {
    const int dimension = net_.dimension;
#pragma unroll
    for (int channel = 0; channel < Tile::kChannels; ++channel) {
      const float* const from = input(channel);
#pragma unroll
      for (int block = 0; block < Tile::kBlocks; ++block)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int unit = Tile::unit(block, e);
          entries[channel][block][e] = 0.f;
          if (unit < dimension) entries[channel][block][e] = from[Tile::row(e) * dimension + unit];
        }
    }
  }

  // What t makes of a unit; zeros beyond those of the layer.
  struct Vectors {
    float gate = 0.f, offset = 0.f;
  };
  __device__ __forceinline__ Vectors vectors_of(const Layer& layer, int unit) const {
    if (unit >= layer.out()) return {};
    const std::size_t at = Rows::vector_entry(Tile::row(0), layer, unit);
    return {memory_[at_.gates + at], memory_[at_.offsets + at]};
  }

  // The points and ε → (z, u_k) of the first layer, where they are few.
  __device__ __forceinline__ void multiply_few(Entries& entries) const {
    const Layer& layer = net_.layers[0];
    const int depth = layer.in(), width = Tile::padded(layer.out());
#pragma unroll
    for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
      for (int block = 0; block < Tile::kBlocks; ++block)
#pragma unroll
        for (int e = 0; e < 4; ++e) entries[channel][block][e] = 0.f;
#pragma unroll 1
    for (int k = 0; k < depth; ++k) {
      float x[Tile::kChannels][2];
#pragma unroll
      for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
        for (int i = 0; i < 2; ++i) x[channel][i] = input(channel)[Tile::row(2 * i) * depth + k];
#pragma unroll
      for (int block = 0; block < Tile::kBlocks; ++block) {
        if (8 * block >= layer.out()) continue;
        const float2 pair = *reinterpret_cast<const float2*>(memory_ + at_.weights[0] + k * width +
                                                             Tile::unit(block, 0));
        const float w[2] = {pair.x, pair.y};
#pragma unroll
        for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
          for (int e = 0; e < 4; ++e)
            entries[channel][block][e] =
                fmaf(x[channel][e / 2], w[e % 2], entries[channel][block][e]);
      }
    }
#pragma unroll
    for (int block = 0; block < Tile::kBlocks; ++block) {
      if (8 * block >= layer.out()) continue;
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const Vectors vectors = vectors_of(layer, Tile::unit(block, e));
#pragma unroll
        for (int channel = 0; channel < Tile::kChannels; ++channel)
          entries[channel][block][e] =
              fmaf(vectors.gate, entries[channel][block][e], channel == 0 ? vectors.offset : 0.f);
      }
    }
  }

  // A layer's input → (z, u_k), zeros beyond its units; kTogether channels share what they load of
  // the weights.
  template <int Steps, int First = 0>
  __device__ __forceinline__ void multiply(int l, Entries& entries) const {
    constexpr int count =
        First + Tile::kTogether < Tile::kChannels ? Tile::kTogether : Tile::kChannels - First;
    const Layer& layer = net_.layers[l];
    typename Tile::Operands operands[count];
    typename Tile::Downs downs[count];
    const float down = power_of_two(-weight_exponent(l));
#pragma unroll
    for (int k = 0; k < count; ++k) {
      Tile::template split_entries<Steps>(entries[First + k], operands[k], downs[k]);
      downs[k][0] *= down;
      downs[k][1] *= down;
    }
#pragma unroll
    for (int block = 0; block < Tile::kBlocks; ++block) {
      float sums[count][4] = {};
      if (8 * block < layer.out()) {
        Tile::template multiply_block<Steps>(operands, weights(l) + block * Steps * 32, sums);
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const Vectors vectors = vectors_of(layer, Tile::unit(block, e));
#pragma unroll
          for (int k = 0; k < count; ++k)
            sums[k][e] = fmaf(vectors.gate, sums[k][e] * downs[k][e / 2],
                              First + k == 0 ? vectors.offset : 0.f);
        }
      }
#pragma unroll
      for (int k = 0; k < count; ++k)
#pragma unroll
        for (int e = 0; e < 4; ++e) entries[First + k][block][e] = sums[k][e];
    }
    if constexpr (First + count < Tile::kChannels) multiply<Steps, First + count>(l, entries);
  }

  // (z, u_k) → (a, ȧ_k)
  __device__ __forceinline__ void activate_entries(const Layer& layer, Entries& entries) const {
    with_activation(layer.activation, [&](auto activation) {
#pragma unroll
      for (int block = 0; block < Tile::kBlocks; ++block) {
        if (8 * block >= layer.out()) continue;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const Activated activated = activate(activation(), entries[0][block][e], 1.f);
          entries[0][block][e] = Tile::unit(block, e) < layer.out() ? activated.a : 0.f;
#pragma unroll
          for (int k = 1; k < Tile::kChannels; ++k) entries[k][block][e] *= activated.slope;
        }
      }
    });
  }

  __device__ __forceinline__ void write_output(const Entries& entries, float* output) const {
#pragma unroll
    for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
      for (int block = 0; block < Tile::kBlocks; ++block)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          if (const int unit = Tile::unit(block, e); unit < net_.dimension)
            output[(channel * Tile::kRows + Tile::row(e)) * net_.stride + unit] =
                entries[channel][block][e];
  }
};

}  // namespace ffjord::cuda
