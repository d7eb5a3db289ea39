// A small net's field at the rows of a tile, whose units the warps of a block share
// (fused_fragment_tile.h): a barrier a layer. Where the data have few dimensions, every warp makes
// its units of the first layer by itself, in float32.
//
// FLOPs an evaluation: 2 (1 + K) Σ in out a row, and the activations. Bytes: none but those of
// shared memory.
#pragma once

#include "cuda/fused/fused_fragment_tile.h"
#include "cuda/fused/fused_rows.h"

namespace ffjord::cuda {

template <class Tile>
class FusedFragmentField : public FusedRows<Tile> {
  using Rows = FusedRows<Tile>;
  using Entries = typename Tile::Entries;
  static constexpr int kUnits = Tile::kMostUnits;

 public:
  using Rows::Rows;

  __device__ void load_weights() const {
#pragma unroll 1
    for (int l = 0; l < net_.layer_count; ++l) load_unit_terms(l);
    for (int l = warp_index(); l < net_.layer_count; l += Tile::kWarps) find_scale(l);
    __syncthreads();
#pragma unroll 1
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      const float* const from = net_.packed + layer.packed;
      if (net_.has_few_inputs(l))
        Rows::load_matrix(from, layer.in(), layer.out(), layer.in(), kUnits,
                          memory_ + at_.weights[l]);
      else
        Tile::split_weights(from, layer.in(), layer.out(), warps_of(l), 1.f / down(l), weights(l));
    }
  }

  /// It does what its namesake of FusedField does; visit(l, part, octet, a, {z, u_k}) sees what the
  /// present thread makes.
  template <class Visit>
  __device__ void evaluate(double c, float* rates, const Visit& visit) const {
    set_clock(c);
    const bool few = net_.has_few_inputs(0);
    typename Tile::Weights present;
    if (!few) {
      load_weights_of(0, present);
      __syncthreads();
#pragma unroll 1
      for (int part = 0; part < Tile::kParts; ++part) hand_over_input(part);
    }
#pragma unroll 1
    for (int l = 0; l < net_.layer_count; ++l) {
      __syncthreads();
      if (warp_index() >= warps_of(l)) break;
#pragma unroll 1
      for (int part = 0; part < Tile::kParts; ++part) {
        Entries entries;
        if (few && l == 0)
          multiply_few(part, entries);
        else
          Tile::multiply(operand(l, part), present, entries);
        pass_on(l, part, entries, visit);
      }
      if (l + 1 < net_.layer_count) load_weights_of(l + 1, present);
    }
    __syncthreads();
    Rows::write_rates(memory_ + at_.activations[0], rates);
    __syncthreads();
  }
  __device__ void evaluate(double c, float* rates) const {
    evaluate(c, rates, [](int, int, int, const float(&)[4], const float(&)[Tile::kChannels][4]) {});
  }

 protected:
  using Rows::at_, Rows::group, Rows::groups_a_tile_, Rows::memory_, Rows::net_, Rows::thread;

  /// The times of the groups, which are there behind the next barrier.
  __device__ void set_clock(double c) const {
    if (thread() < groups_a_tile_)
      memory_[at_.time + thread()] = static_cast<float>(group(thread()).t + c * group(thread()).h);
  }

  __device__ uint4* weights(int l) const {
    return reinterpret_cast<uint4*>(memory_ + at_.weights[l]);
  }
  /// Undoes the scale of a layer's weights.
  __device__ float& down(int l) const { return memory_[at_.downs + l]; }
  /// [layers][units] {b, w of s(t) = w t}, and {a, q} of g(t) = σ(a t + q).
  __device__ float2* offset_terms(int l) const {
    return reinterpret_cast<float2*>(memory_ + at_.offsets) + l * kUnits;
  }
  __device__ float2* gate_terms(int l) const {
    return reinterpret_cast<float2*>(memory_ + at_.gates) + l * kUnits;
  }
  __device__ typename Tile::Operand& operand(int l, int part) const {
    return reinterpret_cast<typename Tile::Operand*>(memory_ +
                                                     at_.operands)[l % 2 * Tile::kParts + part];
  }
  /// Warps that have units of a layer: all but at the last one, as a layer in between is padded.
  __device__ int warps_of(int l) const {
    return l + 1 < net_.layer_count ? Tile::kWarps : Tile::padded(net_.dimension) / Tile::kStep;
  }
  __device__ __forceinline__ void load_weights_of(int l, typename Tile::Weights& present) const {
    if (warp_index() < warps_of(l)) Tile::load_weights(weights(l), present);
  }

  __device__ void load_unit_terms(int l) const {
    const Layer& layer = net_.layers[l];
    const LayerOffsets& from = layer.offsets;
#pragma unroll 1
    for (int unit = thread(); unit < kUnits; unit += Tile::kThreads) {
      const bool is_there = unit < layer.out();
      offset_terms(l)[unit] = is_there ? float2{net_.parameters[from.bias + unit],
                                                layer.shift_weight(net_.parameters, unit)}
                                       : float2{};
      if (net_.gated)
        gate_terms(l)[unit] = is_there ? float2{net_.parameters[from.gate_weight + unit],
                                                net_.parameters[from.gate_bias + unit]}
                                       : float2{};
    }
  }
  /// The scale of a layer's weights, by one warp.
  __device__ void find_scale(int l) const {
    const Layer& layer = net_.layers[l];
    float largest = 0.f;
#pragma unroll 1
    for (std::size_t e = lane_index(); e < layer.weights(); e += 32)
      largest = fmaxf(largest, fabsf(net_.packed[layer.packed + e]));
    for (int distance = 16; distance > 0; distance /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, distance));
    if (lane_index() == 0) down(l) = net_.has_few_inputs(l) ? 1.f : half_scale(largest).down;
  }

  /// The points, or ε of a tangent [rows][D].
  __device__ const float* input(int channel) const {
    if (channel == 0) return memory_ + at_.point;
    return memory_ + at_.eps + (channel - 1) * Tile::kRows * net_.dimension;
  }
  __device__ __forceinline__ void hand_over_input(int part) const {
    const int dimension = net_.dimension;
    Entries entries;
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet)
#pragma unroll
      for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
        for (int u = 0; u < 4; ++u) {
          const int unit = Tile::unit(u);
          entries[octet][channel][u] =
              unit < dimension ? input(channel)[Tile::row(part, octet) * dimension + unit] : 0.f;
        }
    Tile::hand_over(entries, operand(0, part));
  }
  /// The sums of the first layer, where its inputs are few.
  __device__ __forceinline__ void multiply_few(int part, Entries& sums) const {
    const int depth = net_.dimension;
    const float* const from = memory_ + at_.weights[0] + Tile::unit(0);
#pragma unroll
    for (auto& octet : sums)
#pragma unroll
      for (auto& channel : octet)
#pragma unroll
        for (float& sum : channel) sum = 0.f;
#pragma unroll 1
    for (int k = 0; k < depth; ++k) {
      const float2 low = *reinterpret_cast<const float2*>(from + k * kUnits);
      const float2 high = *reinterpret_cast<const float2*>(from + k * kUnits + 8);
      const float w[4] = {low.x, low.y, high.x, high.y};
#pragma unroll
      for (int octet = 0; octet < Tile::kOctets; ++octet)
#pragma unroll
        for (int channel = 0; channel < Tile::kChannels; ++channel) {
          const float x = input(channel)[Tile::row(part, octet) * depth + k];
#pragma unroll
          for (int u = 0; u < 4; ++u) {
            float& sum = sums[octet][channel][u];
            sum = fmaf(x, w[u], sum);
          }
        }
    }
  }

  /// Two neighbouring units' terms of either block.
  __device__ static __forceinline__ void load_terms(const float2* from, float4 (&terms)[2]) {
#pragma unroll
    for (int block = 0; block < 2; ++block)
      terms[block] = *reinterpret_cast<const float4*>(from + Tile::unit(2 * block));
  }
  /// What t makes of two neighbouring units of either block: z = factor · sum + offset.
  struct Vectors {
    float factors[4], offsets[4];
  };
  __device__ __forceinline__ Vectors vectors_of(int l, float t) const {
    float4 offsets[2];
    load_terms(offset_terms(l), offsets);
    const float scale = down(l);
    Vectors vectors;
    const auto set = [&](int u, float gate) {
      const float4& of = offsets[u / 2];
      const float bias = u % 2 == 0 ? of.x : of.z, shift = u % 2 == 0 ? of.y : of.w;
      vectors.factors[u] = gate * scale;
      vectors.offsets[u] = fmaf(shift, t, gate * bias);
    };
    if (net_.gated) {
      float4 gates[2];
      load_terms(gate_terms(l), gates);
#pragma unroll
      for (int u = 0; u < 4; ++u) {
        const float4& of = gates[u / 2];
        set(u, sigmoid<Division::Reciprocal>(
                   fmaf(u % 2 == 0 ? of.x : of.z, t, u % 2 == 0 ? of.y : of.w)));
      }
    } else {
#pragma unroll
      for (int u = 0; u < 4; ++u) set(u, 1.f);
    }
    return vectors;
  }

 private:
  /// The sums of a layer → (z, u_k) → (a, ȧ_k), for the next layer or as the net's output.
  template <class Visit>
  __device__ __forceinline__ void pass_on(int l, int part, Entries& entries,
                                          const Visit& visit) const {
    const Layer& layer = net_.layers[l];
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet) {
      const Vectors vectors = vectors_of(l, Rows::time_of(Tile::row(part, octet)));
#pragma unroll
      for (int u = 0; u < 4; ++u) {
        entries[octet][0][u] = fmaf(vectors.factors[u], entries[octet][0][u], vectors.offsets[u]);
#pragma unroll
        for (int k = 1; k < Tile::kChannels; ++k) entries[octet][k][u] *= vectors.factors[u];
      }
    }
    with_activation(layer.activation, [&](auto activation) {
#pragma unroll
      for (int octet = 0; octet < Tile::kOctets; ++octet) {
        float a[4], slopes[4];
#pragma unroll
        for (int u = 0; u < 4; ++u) {
          const Activated activated =
              activate<Division::Reciprocal>(activation(), entries[octet][0][u], 1.f);
          a[u] = activated.a;
          slopes[u] = activated.slope;
        }
        visit(l, part, octet, a, entries[octet]);
#pragma unroll
        for (int u = 0; u < 4; ++u) {
          entries[octet][0][u] = a[u];
#pragma unroll
          for (int k = 1; k < Tile::kChannels; ++k) entries[octet][k][u] *= slopes[u];
        }
      }
    });
    if (l + 1 < net_.layer_count)
      Tile::hand_over(entries, operand(l + 1, part));
    else
      write_output(part, entries);
  }

 protected:
  __device__ __forceinline__ void write_output(int part, const Entries& entries) const {
    float* const output = memory_ + at_.activations[0];
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet)
#pragma unroll
      for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
        for (int u = 0; u < 4; ++u)
          if (const int unit = Tile::unit(u); unit < net_.dimension)
            output[(channel * Tile::kRows + Tile::row(part, octet)) * net_.stride + unit] =
                entries[octet][channel][u];
  }
};

}  // namespace ffjord::cuda
