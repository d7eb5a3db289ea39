// Products of prepared operands (octets.h): copies and products, and nothing else.
//
// A block makes 64 rows × `Units` units of two channels, a warpgroup each. Slabs of both operands
// come into a ring of stages by asynchronous copies, whole tiles without a test; a chunk of 32 deep
// is summed on the tensor cores, chunks in float32 by the ordinary adders, as half_product.h does.
// A row's scale is undone there, a unit's behind the last chunk by whoever takes the sums.
//
// Within a warpgroup a warp has 16 rows × all units: with g = lane / 4, q = lane % 4 a thread holds
// rows g + 8 i and units 8 n + 2 q + j. By instruction:
//   Half3           fragments of 16 × 8 (mma.sync), from compute capability 8.0 on, two stages;
//   WarpgroupHalf3  64 × Units (wgmma), on compute capability 9.0, five stages.
// A thread has Units / 2 sums and as many of the chunk. FLOPs on the tensor cores: three times
// those of the product. Bytes: A once a `Units`, B once a 64 rows; 33,792 a stage of 128 units.
#pragma once

#include "cuda/product/half_product.h"
#include "cuda/product/octets.h"

namespace ffjord::cuda {

inline constexpr int kOctetThreads = 256;

/// What a block multiplies, from its first slab on; without a second channel its warpgroup rests.
struct OctetOperands {
  const uint4* a[2];
  const float* down[2];  ///< of its chunk, which it begins
  const uint4* b;
  bool both;
  int slabs;
  const float* unit_down = nullptr;  ///< of its chunk, where units have a scale for each
};

/// What shares a scale of B's lines: all their depth, which whoever takes the sums undoes, or a
/// chunk of 64.
enum class UnitScales { Whole, Chunks };

/// The sums of a thread: fragments of eight units, [n][2 i + j].
template <int Units>
using OctetSums = float[Units / 8][4];

template <int Units>
struct OctetStage {
  uint4 a[2][2][kSlabOctets][kTileRows];  // [channel][part][octet][row]
  uint4 b[2][kSlabOctets][Units];
  float down[2][kTileRows], unit_down[Units];
};

/// What two channels of a tile leave, a row after the other: padded so that neither fragments nor
/// octets of it meet a bank more than twice.
template <int Units>
using OctetTile = float[2][kTileRows][Units + 4];

template <class Arithmetic, int Units>
struct OctetMemory {
  static constexpr int kStages = std::same_as<Arithmetic, WarpgroupHalf3> ? 5 : 2;
  union {
    OctetStage<Units> ring[kStages];
    OctetTile<Units> tile;
  };
};

namespace detail {

/// Copies slab after slab, whose addresses it counts on.
template <int Units, UnitScales scales>
class SlabCopies {
 public:
  __device__ __forceinline__ explicit SlabCopies(const OctetOperands& from)
      : a_{from.a[0] + threadIdx.x, from.a[1] + threadIdx.x},
        b_(from.b + threadIdx.x),
        down_((threadIdx.x < 16 ? from.down[0] : from.down[1]) + threadIdx.x % 16 * 4),
        unit_down_(scales == UnitScales::Chunks ? from.unit_down + threadIdx.x * 4 : nullptr),
        both_(from.both),
        left_(from.slabs) {}

  /// Puts the next under way, where there is one.
  __device__ __forceinline__ void copy(OctetStage<Units>& to) {
    const int thread = threadIdx.x;
    if (left_ > 0) {
      copy(&to.a[0][0][0][0] + thread, a_[0], slab_octets(kTileRows));
      if (both_) copy(&to.a[1][0][0][0] + thread, a_[1], slab_octets(kTileRows));
      copy(&to.b[0][0][0] + thread, b_, slab_octets(Units));
      if (thread < 16 << both_) copy_async_16(&to.down[0][0] + 4 * thread, down_);
      if (scales == UnitScales::Chunks && thread < Units / 4)
        copy_async_16(&to.unit_down[4 * thread], unit_down_);
    }
    commit_copies();
    if (second_) {
      down_ += kTileRows;
      if constexpr (scales == UnitScales::Chunks) unit_down_ += Units;
    }
    second_ = !second_;
    --left_;
  }

 private:
  __device__ __forceinline__ static void copy(uint4* to, const uint4*& from, int octets) {
#pragma unroll
    for (int e = 0; e < octets; e += kOctetThreads) copy_async_16(to + e, from + e);
    from += octets;
  }

  const uint4 *a_[2], *b_;
  const float *down_, *unit_down_;
  const bool both_;
  int left_;
  bool second_ = false;  // of the two slabs of a chunk
};

template <int Units>
using OctetChunk = float[1][Units / 8][4];

template <int Units>
__device__ __forceinline__ void multiply_stage(WarpgroupHalf3, const OctetStage<Units>& stage,
                                               int channel, OctetChunk<Units>& chunk) {
  constexpr int core_matrix = 8 * sizeof(uint4);
  constexpr int octet_of_a = kTileRows * sizeof(uint4), octet_of_b = Units * sizeof(uint4);
  // A descriptor holds its address in units of 16 bytes.
  const auto a = matrix_descriptor(stage.a[channel], octet_of_a, core_matrix);
  const auto b = matrix_descriptor(stage.b, octet_of_b, core_matrix);
  begin_products(chunk);
  each_product([&](Part part_a, Part part_b, int octet) {
    multiply_async(chunk[0], a + (part_a * kSlabOctets + octet) * kTileRows,
                   b + (part_b * kSlabOctets + octet) * Units);
  });
  commit_products();
  wait_for_products(chunk);
}

template <int Units>
__device__ __forceinline__ void multiply_stage(Half3, const OctetStage<Units>& stage, int channel,
                                               OctetChunk<Units>& chunk) {
  const int lane = lane_index(), row = 16 * (warp_index() % 4) + lane % 16;
  const int unit = lane / 16 * 8 + lane % 8;
  each_product([&](Part part_a, Part part_b, int octet) {
    unsigned a[4];
    load_matrix_x4(a, &stage.a[channel][part_a][octet + lane / 16][row]);
#pragma unroll
    for (int n = 0; n < Units / 16; ++n) {
      unsigned b[4];
      load_matrix_x4(b, &stage.b[part_b][octet + lane / 8 % 2][unit + 16 * n]);
      mma_f16(chunk[0][2 * n], a, {b[0], b[1]});
      mma_f16(chunk[0][2 * n + 1], a, {b[2], b[3]});
    }
  });
}

}  // namespace detail

/// sums ← A B, times the scales of B's lines where they are whole. All threads of the block take
/// part; behind it the ring may be written.
template <class Arithmetic, int Units, UnitScales scales = UnitScales::Whole>
__device__ __forceinline__ void multiply_octets(OctetMemory<Arithmetic, Units>& memory,
                                                const OctetOperands& from, OctetSums<Units>& sums) {
  constexpr int stages = OctetMemory<Arithmetic, Units>::kStages;
  // What a lane knows of its warp, said by its first, is one number to the compiler: descriptors
  // that follow from it are made by the scalar units.
  const int channel = __shfl_sync(~0u, warp_index() / 4, 0);
  const int row = 16 * (warp_index() % 4) + lane_index() / 4;
  const bool works = channel <= from.both;
#pragma unroll
  for (auto& fragment : sums)
#pragma unroll
    for (float& sum : fragment) sum = 0.f;
  detail::SlabCopies<Units, scales> copies(from);
#pragma unroll
  for (int stage = 0; stage < stages - 1; ++stage) copies.copy(memory.ring[stage]);
  int at = 0, free = stages - 1;
#pragma unroll 1
  for (int slab = 0; slab < from.slabs; ++slab) {
    wait_for_copies<stages - 2>();
    if constexpr (std::same_as<Arithmetic, WarpgroupHalf3>) show_to_products();
    __syncthreads();  // behind which nobody reads the stage that is filled now
    copies.copy(memory.ring[free]);
    free = at;
    const OctetStage<Units>& stage = memory.ring[at];
    at = at + 1 == stages ? 0 : at + 1;
    if (!works) continue;
    detail::OctetChunk<Units> chunk = {};
    detail::multiply_stage<Units>(Arithmetic{}, stage, channel, chunk);
    const float down[2] = {stage.down[channel][row], stage.down[channel][row + 8]};
#pragma unroll
    for (int n = 0; n < Units / 8; ++n) {
      float2 units = {1.f, 1.f};
      if constexpr (scales == UnitScales::Chunks)
        units = *reinterpret_cast<const float2*>(&stage.unit_down[8 * n + 2 * (lane_index() % 4)]);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float product = chunk[0][n][i] * (i % 2 == 0 ? units.x : units.y);
        sums[n][i] = fmaf(product, down[i / 2], sums[n][i]);
      }
    }
  }
  __syncthreads();
}

/// Where everyone finds what multiply_octets has left.
template <int Units>
__device__ __forceinline__ void place_sums(const OctetSums<Units>& sums, OctetTile<Units>& tile) {
  const int channel = warp_index() / 4, row = 16 * (warp_index() % 4) + lane_index() / 4;
#pragma unroll
  for (int n = 0; n < Units / 8; ++n)
#pragma unroll
    for (int i = 0; i < 2; ++i)
      *reinterpret_cast<float2*>(&tile[channel][row + 8 * i][8 * n + 2 * (lane_index() % 4)]) =
          make_float2(sums[n][2 * i], sums[n][2 * i + 1]);
}

}  // namespace ffjord::cuda
