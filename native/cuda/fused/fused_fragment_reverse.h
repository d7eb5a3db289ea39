// The way back through the layers of a small net whose units the warps of a block share
// (fused_fragment_field.h). Cotangents go from layer to layer as values do, by the fragments of Wᵀ;
// weight gradients are summed in float32, from entries that lie as they are in shared memory.
//
// FLOPs of a stage, beside those of its recomputation: 4 (1 + K) Σ in out a row. Bytes: a, z and
// u_k of each unit once there and back.
#pragma once

#include "cuda/fused/fused_fragment_field.h"
#include "cuda/fused/fused_kept_rows.h"

namespace ffjord::cuda {

template <class Tile>
class FusedFragmentReverse : public FusedKeptRows<FusedFragmentField<Tile>> {
  using Rows = FusedKeptRows<FusedFragmentField<Tile>>;
  using Entries = typename Tile::Entries;
  static_assert(Tile::kParts == 1);
  static constexpr int kKept = Tile::kChannels + 1;

 public:
  using Rows::thread;
  /// Parts that a row's t̄ has in shared memory.
  static constexpr int kTimeParts = Tile::kWarps;
  /// Entries of a pass that a thread has, of the layer.
  static int places_of(const Layer&) { return 4 * Tile::kOctets; }

  __device__ explicit FusedFragmentReverse(const FusedPullbackArguments& s) : Rows(s) {
    Rows::load_weights();
#pragma unroll 1
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      if (!net_.has_few_inputs(l))
        Tile::split_weights(net_.packed + layer.packed + layer.weights(), layer.out(), layer.in(),
                            warps_below(l), 1.f / Rows::down(l), transposed(l));
      Rows::clear(at_.sums[l], whole(layer.in()) * Tile::padded(layer.out()));
    }
    Rows::clear(at_.unit_sums, unit_kinds() * net_.layer_count * 4 * Tile::kThreads);
  }

  /// Rates of a stage, whose pass is kept.
  __device__ void evaluate(int stage, double c, float* rates) const {
    Rows::evaluate(
        c, rates,
        [&](int l, int, int octet, const float(&a)[4], const float(&z_and_u)[Tile::kChannels][4]) {
          float4* const to = kept_at(stage, l, octet);
          to[0] = vector_of(a);
#pragma unroll
          for (int k = 0; k < Tile::kChannels; ++k)
            to[(k + 1) * Tile::kThreads] = vector_of(z_and_u[k]);
        });
  }
  /// Makes ready what a stage is pulled at.
  __device__ void enter(double c) const { Rows::set_clock(c); }

  /// The net's output as a stage had it, behind the next barrier.
  __device__ const float* output(int stage) const {
    const int l = net_.layer_count - 1;
    if (warp_index() < Rows::warps_of(l)) {
      Kept kept;
      load_kept(stage, l, kept);
      Entries entries;
      restore(l, kept, entries);
      Rows::write_output(0, entries);
    }
    return memory_ + at_.activations[0];
  }
  /// Where cotangents of the output go.
  __device__ float* seeds() const { return memory_ + at_.bars[0]; }

  /// From the seeds to Ȳ of the stage, `point_bar` [rows][D], which is added to; the sums of the
  /// weights and t̄ of the rows. A barrier follows.
  __device__ void pull(int stage, float* point_bar) const {
    Entries bars;
    read_seeds(bars);
    float time_bars[Tile::kOctets] = {};
    typename Tile::Weights present;
    Kept kept, below;
    const bool few = net_.has_few_inputs(0);
    if (warp_index() < Rows::warps_of(net_.layer_count - 1))
      load_kept(stage, net_.layer_count - 1, kept);
#pragma unroll 1
    for (int l = net_.layer_count; l-- > 0;) {
      if (l > 0) load_kept(stage, l - 1, below);
      if (!(few && l == 0) && warp_index() < warps_below(l))
        Tile::load_weights(transposed(l), present);
      if (warp_index() < Rows::warps_of(l)) pull_entries(l, kept, bars, time_bars);
      if (s_.unit_sums) place_factors(l, below, bars);
      kept = below;
      if (few && l == 0)
        multiply_few_back(bars);
      else
        Tile::hand_over(bars, Rows::operand(l, 0));
      __syncthreads();
      if (s_.unit_sums) add_products(l);
      if (warp_index() >= warps_below(l) || (few && l == 0)) break;
      Tile::multiply(Rows::operand(l, 0), present, bars);
      const float down = Rows::down(l);
#pragma unroll
      for (auto& octet : bars)
#pragma unroll
        for (auto& channel : octet)
#pragma unroll
          for (float& bar : channel) bar *= down;
    }
    few ? add_few_back(point_bar) : add_input_bars(bars, point_bar);
    store_time_bars(time_bars);
  }

  __device__ void store_sums() const {
    for (int l = 0; l < net_.layer_count; ++l) {
      const Layer& layer = net_.layers[l];
      float* const to = s_.slices[l] + blockIdx.x * layer.weights();
      const int width = Tile::padded(layer.out());
#pragma unroll 1
      for (int e = thread(); e < layer.out() * layer.in(); e += Tile::kThreads)
        Rows::add(to[e], memory_[at_.sums[l] + e % layer.in() * width + e / layer.in()]);
#pragma unroll 1
      for (int e = thread(); e < kUnitSums * layer.out(); e += Tile::kThreads) {
        const int kind = e / layer.out(), unit = e % layer.out();
        Rows::add(Rows::unit_sum(kind, layer.unit + unit),
                  kind < unit_kinds() ? sum_of(l, kind, unit) : 0.f);
      }
    }
  }

 protected:
  using Rows::at_, Rows::memory_, Rows::net_, Rows::s_;

 private:
  static constexpr int kStride = Tile::kMostUnits + 4;  ///< of factors, whose rows meet other banks

  /// Entries padded to whole vectors.
  __device__ static int whole(int entries) { return (entries + 3) / 4 * 4; }
  __device__ static float4 vector_of(const float (&x)[4]) { return {x[0], x[1], x[2], x[3]}; }
  __device__ static __forceinline__ void take(const float4& from, float* x) {
    x[0] = from.x;
    x[1] = from.y;
    x[2] = from.z;
    x[3] = from.w;
  }

  __device__ uint4* transposed(int l) const {
    return reinterpret_cast<uint4*>(memory_ + at_.transposed[l]);
  }
  /// Warps that have units of what comes into a layer.
  __device__ int warps_below(int l) const {
    return l > 0 ? Tile::kWarps : Tile::padded(net_.dimension) / Tile::kStep;
  }
  /// Where a pass of a layer lies for the present thread: a, z, u_k, a block of threads apart.
  __device__ float4* kept_at(int stage, int l, int octet) const {
    return reinterpret_cast<float4*>(Rows::passes_of(stage)) +
           std::size_t(l * Tile::kOctets + octet) * kKept * Tile::kThreads + threadIdx.x;
  }
  /// What a pass left of a layer; z where it is needed.
  struct Kept {
    float a[Tile::kOctets][4], z[Tile::kOctets][4], u[Tile::kOctets][Tile::kChannels - 1][4];
  };
  __device__ __forceinline__ void load_kept(int stage, int l, Kept& kept) const {
    const bool takes_z = net_.gated || bends_preactivation(net_.layers[l].activation);
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet) {
      const float4* const from = kept_at(stage, l, octet);
      take(from[0], kept.a[octet]);
      take(takes_z ? from[Tile::kThreads] : float4{}, kept.z[octet]);
#pragma unroll
      for (int k = 1; k < Tile::kChannels; ++k)
        take(from[(k + 1) * Tile::kThreads], kept.u[octet][k - 1]);
    }
  }
  /// Kinds of UnitSum that a net has, but swish's.
  __device__ int unit_kinds() const { return net_.gated ? kBeta : kLogit; }
  __device__ float4& unit_sums_of(int l, int kind) const {
    return reinterpret_cast<float4*>(
        memory_ + at_.unit_sums)[(l * unit_kinds() + kind) * Tile::kThreads + threadIdx.x];
  }
  /// The sum of a unit over the eight threads that have rows of it.
  __device__ float sum_of(int l, int kind, int unit) const {
    const int within = unit % Tile::kStep;
    const int first = 32 * (unit / Tile::kStep) + within % 8 / 2, u = within / 8 * 2 + within % 2;
    const float* const from =
        memory_ + at_.unit_sums + (l * unit_kinds() + kind) * 4 * Tile::kThreads;
    float sum = 0.f;
    for (int g = 0; g < 8; ++g) sum += from[(first + 4 * g) * 4 + u];
    return sum;
  }
  /// Factors of a layer's weight gradient, [channels][rows][kStride].
  __device__ float* factors(int offset, int l) const {
    return memory_ + offset + l % 2 * Tile::kChannels * Tile::kRows * kStride;
  }

  /// (a, ȧ_k) of a layer.
  __device__ __forceinline__ void restore(int l, const Kept& kept, Entries& entries) const {
    with_activation(net_.layers[l].activation, [&](auto activation) {
#pragma unroll
      for (int octet = 0; octet < Tile::kOctets; ++octet)
#pragma unroll
        for (int u = 0; u < 4; ++u) {
          const float a = kept.a[octet][u];
          const float slope = slopes_of(activation(), a, kept.z[octet][u], 1.f).slope;
          entries[octet][0][u] = a;
#pragma unroll
          for (int k = 1; k < Tile::kChannels; ++k)
            entries[octet][k][u] = slope * kept.u[octet][k - 1][u];
        }
    });
  }

  __device__ __forceinline__ void read_seeds(Entries& bars) const {
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet)
#pragma unroll
      for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
        for (int u = 0; u < 4; ++u) {
          const int unit = Tile::unit(u), row = Tile::row(0, octet);
          bars[octet][channel][u] =
              unit < net_.dimension ? seeds()[(channel * Tile::kRows + row) * net_.stride + unit]
                                    : 0.f;
        }
  }

  // (ā, ǡ) → (g z̄, g ū) of a layer, as layer_backward.cu has it; what units and t̄ get.
  __device__ __forceinline__ void pull_entries(int l, const Kept& kept, Entries& bars,
                                               float (&time_bars)[Tile::kOctets]) const {
    const Layer& layer = net_.layers[l];
    float4 offsets[2], gates[2];
    Rows::load_terms(Rows::offset_terms(l), offsets);
    if (net_.gated) Rows::load_terms(Rows::gate_terms(l), gates);
    float sums[kBeta][4] = {};  // swish is not among the fused activations
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet) {
      const float t = Rows::time_of(Tile::row(0, octet));
      Slopes slopes_of_units[4];
      with_activation(layer.activation, [&](auto activation) {
#pragma unroll
        for (int u = 0; u < 4; ++u)
          slopes_of_units[u] = slopes_of(activation(), kept.a[octet][u], kept.z[octet][u], 1.f);
      });
#pragma unroll
      for (int u = 0; u < 4; ++u) {
        const float shift_weight = u % 2 == 0 ? offsets[u / 2].y : offsets[u / 2].w;
        const Slopes& slopes = slopes_of_units[u];
        float gate = 1.f, gate_weight = 0.f;
        if (net_.gated) {
          const float4& of = gates[u / 2];
          gate_weight = u % 2 == 0 ? of.x : of.z;
          gate = sigmoid<Division::Reciprocal>(fmaf(gate_weight, t, u % 2 == 0 ? of.y : of.w));
        }
        float z_bar = slopes.slope * bars[octet][0][u], logit_bar = 0.f;
#pragma unroll
        for (int k = 1; k < Tile::kChannels; ++k) {
          float& bar = bars[octet][k][u];
          const float tangent = kept.u[octet][k - 1][u], u_bar = slopes.slope * bar;
          const float bent =
              bends_preactivation(layer.activation) ? tangent : slopes.slope * tangent;
          z_bar = fmaf(slopes.bend * bent, bar, z_bar);
          logit_bar = fmaf(u_bar, tangent, logit_bar);
          bar = gate * u_bar;
        }
        const float gated = gate * z_bar;
        bars[octet][0][u] = gated;
        time_bars[octet] = fmaf(shift_weight, z_bar, time_bars[octet]);
        sums[kGatedValue][u] += gated;
        sums[kTimedValue][u] = fmaf(t, z_bar, sums[kTimedValue][u]);
        if (net_.gated) {
          logit_bar = (1.f - gate) * fmaf(z_bar, kept.z[octet][u] - shift_weight * t, logit_bar);
          time_bars[octet] = fmaf(gate_weight, logit_bar, time_bars[octet]);
          sums[kLogit][u] += logit_bar;
          sums[kTimedLogit][u] = fmaf(t, logit_bar, sums[kTimedLogit][u]);
        }
      }
    }
    if (!s_.unit_sums) return;
#pragma unroll
    for (int kind = 0; kind < kBeta; ++kind) {
      if (kind >= unit_kinds()) break;
      float4& sum = unit_sums_of(l, kind);
      sum = {sum.x + sums[kind][0], sum.y + sums[kind][1], sum.z + sums[kind][2],
             sum.w + sums[kind][3]};
    }
  }

  // Both factors of a layer's weight gradient, where the next barrier shows them.
  __device__ __forceinline__ void place_factors(int l, const Kept& below,
                                                const Entries& bars) const {
    place(bars, factors(at_.outer_bars, l));
    float* const inputs = factors(at_.outer_inputs, l);
    if (l > 0) {
      Entries entries;
      restore(l - 1, below, entries);
      return place(entries, inputs);
    }
    const int dimension = net_.dimension, padded = whole(dimension);
#pragma unroll 1
    for (int e = thread(); e < Tile::kChannels * Tile::kRows * padded; e += Tile::kThreads) {
      const int row = e / padded, i = e % padded;
      inputs[row * kStride + i] =
          i < dimension ? Rows::input(row / Tile::kRows)[row % Tile::kRows * dimension + i] : 0.f;
    }
  }
  __device__ static __forceinline__ void place(const Entries& entries, float* to) {
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet)
#pragma unroll
      for (int channel = 0; channel < Tile::kChannels; ++channel)
#pragma unroll
        for (int block = 0; block < 2; ++block)
          *reinterpret_cast<float2*>(&to[(channel * Tile::kRows + Tile::row(0, octet)) * kStride +
                                         Tile::unit(2 * block)]) = {
              entries[octet][channel][2 * block], entries[octet][channel][2 * block + 1]};
  }
  // W̄ += aᵀ b over rows and channels: a thread has 4 inputs × 8 bars, for three loads of 16 bytes
  // a row, which meet no bank twice.
  __device__ void add_products(int l) const {
    const Layer& layer = net_.layers[l];
    const float* const inputs = factors(at_.outer_inputs, l);
    const float* const bars = factors(at_.outer_bars, l);
    const int width = Tile::padded(layer.out()), across = width / 8;
#pragma unroll 1
    for (int part = thread(); part < whole(layer.in()) / 4 * across; part += Tile::kThreads) {
      const int k = part / across * 4, j = part % across * 8;
      float* const to = memory_ + at_.sums[l] + k * width + j;
      float sums[4][8];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        take(*reinterpret_cast<const float4*>(to + i * width), &sums[i][0]);
        take(*reinterpret_cast<const float4*>(to + i * width + 4), &sums[i][4]);
      }
#pragma unroll 4
      for (int row = 0; row < Tile::kChannels * Tile::kRows; ++row) {
        float x[4], y[8];
        take(*reinterpret_cast<const float4*>(inputs + row * kStride + k), x);
        take(*reinterpret_cast<const float4*>(bars + row * kStride + j), &y[0]);
        take(*reinterpret_cast<const float4*>(bars + row * kStride + j + 4), &y[4]);
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int n = 0; n < 8; ++n) sums[i][n] = fmaf(x[i], y[n], sums[i][n]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int n = 0; n < 8; n += 4)
          *reinterpret_cast<float4*>(to + i * width + n) = {sums[i][n], sums[i][n + 1],
                                                            sums[i][n + 2], sums[i][n + 3]};
    }
  }

  // What the first layer's units add to z̄, where its inputs are few: parts of warps [D][rows].
  __device__ __forceinline__ void multiply_few_back(const Entries& bars) const {
    const float* const from = memory_ + at_.weights[0];
    float* const parts = memory_ + at_.input_parts + warp_index() * net_.dimension * Tile::kRows;
#pragma unroll 1
    for (int i = 0; i < net_.dimension; ++i)
#pragma unroll
      for (int octet = 0; octet < Tile::kOctets; ++octet) {
        float sum = 0.f;
#pragma unroll
        for (int u = 0; u < 4; ++u)
          sum = fmaf(bars[octet][0][u], from[i * Tile::kMostUnits + Tile::unit(u)], sum);
        sum += __shfl_xor_sync(~0u, sum, 1);
        sum += __shfl_xor_sync(~0u, sum, 2);
        if (lane_index() % 4 == 0) parts[i * Tile::kRows + Tile::row(0, octet)] = sum;
      }
  }
  __device__ void add_few_back(float* point_bar) const {
#pragma unroll 1
    for (int e = thread(); e < Tile::kRows * net_.dimension; e += Tile::kThreads) {
      const int row = e / net_.dimension, i = e % net_.dimension;
      float sum = 0.f;
      for (int warp = 0; warp < Tile::kWarps; ++warp)
        sum += memory_[at_.input_parts + (warp * net_.dimension + i) * Tile::kRows + row];
      point_bar[e] += sum;
    }
  }
  __device__ void add_input_bars(const Entries& bars, float* point_bar) const {
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet)
#pragma unroll
      for (int u = 0; u < 4; ++u)
        if (const int unit = Tile::unit(u); unit < net_.dimension)
          point_bar[Tile::row(0, octet) * net_.dimension + unit] += bars[octet][0][u];
  }
  __device__ void store_time_bars(float (&time_bars)[Tile::kOctets]) const {
#pragma unroll
    for (int octet = 0; octet < Tile::kOctets; ++octet) {
      float& sum = time_bars[octet];
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      if (lane_index() % 4 == 0)
        memory_[at_.time_parts + warp_index() * Tile::kRows + Tile::row(0, octet)] = sum;
    }
  }
};

}  // namespace ffjord::cuda
