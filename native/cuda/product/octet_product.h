// Products of prepared operands (octets.h): copies and products, and nothing else.
//
// A block makes 64 rows × `Units` units of two channels, a warpgroup each. Slabs of both operands
// come into a ring of stages by asynchronous copies, whole tiles without a test; a chunk of 32 deep
// is summed on the tensor cores, chunks in float32 by the ordinary adders, as half_product.h does.
// A row's scale is undone there, a unit's behind the last chunk by whoever takes the sums. A
// convolution is a product over several taps: each begins to copy A so many lines further on, and
// what lies in a stage is the same.
//
// Within a warpgroup a warp has 16 rows × all units: with g = lane / 4, q = lane % 4 a thread holds
// rows g + 8 i and units 8 n + 2 q + j. By instruction:
//   Half3           fragments of 16 × 8 (mma.sync), from compute capability 8.0 on, two stages;
//   WarpgroupHalf3  64 × Units (wgmma), on compute capability 9.0, five stages, or three of 64
//                   units, so that a multiprocessor holds two blocks.
// A thread has Units / 2 sums and as many of the chunk. FLOPs on the tensor cores: three times
// those of the product. Bytes: A once a `Units` and tap, B once a 64 rows; a stage of 128 units has
// 33,792.
#pragma once

#include "cuda/product/half_product.h"
#include "cuda/product/octets.h"

namespace ffjord::cuda {

inline constexpr int kOctetThreads = 256;

/// Blocks of a product that a multiprocessor holds.
template <class Arithmetic, int Units>
inline constexpr int octet_blocks = std::same_as<Arithmetic, WarpgroupHalf3>&& Units == 64 ? 2 : 1;

/// How far parts of A lie from each other: octets of depth, high and low halves, slabs, in octets
/// of 16 bytes; scales of chunks.
struct OctetSteps {
  int octet, part, slab, chunk;

  /// Of operands of so many lines.
  __host__ __device__ static constexpr OctetSteps of(int lines) {
    return {lines, kSlabOctets * lines, slab_octets(lines), lines};
  }
};

/// What a block multiplies, from its first slab on; without a second channel its warpgroup rests.
struct OctetOperands {
  const uint4* a[2];
  const float* down[2];  ///< of its chunk, which it begins
  const uint4* b;
  bool both;
  int slabs;  ///< of A, of each tap; B has those of all taps, one after the other
  OctetSteps steps;
  const OctetTaps& taps;
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
  static constexpr int kStages = !std::same_as<Arithmetic, WarpgroupHalf3> ? 2
                                 : octet_blocks<Arithmetic, Units> == 2    ? 3
                                                                           : 5;
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
      : from_(from),
        part_(bytes_of(from.steps.part)),
        slab_bytes_(bytes_of(from.steps.slab)),
        back_bytes_((1 - from.slabs) * slab_bytes_),
        back_numbers_((1 - from.slabs) / 2 * from.steps.chunk),
        b_(from.b + threadIdx.x) {
    const int line = threadIdx.x % kTileRows, octet = threadIdx.x / kTileRows;
    for (int channel = 0; channel < 2; ++channel)
      a_[channel] = reinterpret_cast<const char*>(from.a[channel] + octet * from.steps.octet +
                                                  from.taps.moves[0] + line);
    down_ = (octet == 0 ? from.down[0] : from.down[1]) + from.taps.moves[0] + line;
    if constexpr (scales == UnitScales::Chunks) unit_down_ = from.unit_down + threadIdx.x * 4;
  }

  /// Puts the next under way, where there `is_one`.
  __device__ __forceinline__ void copy(OctetStage<Units>& to, bool is_one) {
    const int thread = threadIdx.x;
    if (is_one) {
      copy_channel(0, to);
      if (from_.both) copy_channel(1, to);
#pragma unroll
      for (int e = 0; e < slab_octets(Units); e += kOctetThreads)
        copy_async_16(&to.b[0][0][0] + thread + e, b_ + e);
      b_ += slab_octets(Units);
      if (thread < 2 * kTileRows) copy_async_4(&to.down[0][0] + thread, down_);
      if (scales == UnitScales::Chunks && thread < Units / 4)
        copy_async_16(&to.unit_down[4 * thread], unit_down_);
      go_on();
    }
    commit_copies();
  }

 private:
  // A part of a channel is an octet of 16 bytes a thread.
  __device__ __forceinline__ void copy_channel(int channel, OctetStage<Units>& to) const {
    static_assert(kSlabOctets * kTileRows == kOctetThreads);
#pragma unroll
    for (int part = 0; part < 2; ++part)
      copy_async_16(&to.a[channel][part][0][0] + threadIdx.x, a_[channel] + part * part_);
  }

  __device__ __forceinline__ static std::ptrdiff_t bytes_of(int octets) {
    return octets * static_cast<std::ptrdiff_t>(sizeof(uint4));
  }

  __device__ __forceinline__ void go_on() {
    std::ptrdiff_t bytes = slab_bytes_;
    // Two slabs share a scale.
    const int is_new = (++slab_ & 1) - 1;
    int numbers = is_new & from_.steps.chunk;
    if constexpr (scales == UnitScales::Chunks) unit_down_ += is_new & Units;
    if (slab_ == from_.slabs) {  // behind the last tap it does not matter where to
      const int lines = from_.taps.moves[++tap_];
      bytes = bytes_of(lines) + back_bytes_;
      numbers = lines + back_numbers_;
      slab_ = 0;
    }
    a_[0] += bytes;
    a_[1] += bytes;
    down_ += numbers;
  }

  const OctetOperands& from_;
  const std::ptrdiff_t part_, slab_bytes_, back_bytes_;  // back: to the first slab of a tap
  const int back_numbers_;
  const char* a_[2];
  const uint4* b_;
  const float *down_, *unit_down_ = nullptr;
  int slab_ = 0, tap_ = 0;  // of A
};

template <int Units>
using OctetChunk = float[1][Units / 8][4];

/// Multiplies what lies in stages of a ring, of a channel.
template <class Arithmetic, int Units, UnitScales scales>
class StageProducts;

template <int Units, UnitScales scales>
class StageProducts<WarpgroupHalf3, Units, scales> {
 public:
  __device__ __forceinline__ StageProducts(const OctetStage<Units>* ring, int channel)
      : a_(matrix_descriptor(ring->a[channel], kTileRows * sizeof(uint4), 8 * sizeof(uint4))),
        b_(matrix_descriptor(ring->b, Units * sizeof(uint4), 8 * sizeof(uint4))) {}

  __device__ __forceinline__ void multiply(int stage, OctetChunk<Units>& chunk) const {
    // A descriptor holds its address in units of 16 bytes.
    const std::uint64_t further = stage * (sizeof(OctetStage<Units>) / sizeof(uint4));
    const std::uint64_t a = a_ + further, b = b_ + further;
    begin_products(chunk);
    each_product([&](Part part_a, Part part_b, int octet) {
      multiply_async(chunk[0], a + (part_a * kSlabOctets + octet) * kTileRows,
                     b + (part_b * kSlabOctets + octet) * Units);
    });
    commit_products();
    wait_for_products(chunk);
  }

 private:
  const std::uint64_t a_, b_;
};

template <int Units, UnitScales scales>
class StageProducts<Half3, Units, scales> {
 public:
  __device__ __forceinline__ StageProducts(const OctetStage<Units>* ring, int channel)
      : ring_(ring), channel_(channel) {}

  __device__ __forceinline__ void multiply(int stage, OctetChunk<Units>& chunk) const {
    const OctetStage<Units>& from = ring_[stage];
    // Of 128 units there is no register left to keep what follows from a thread's index; where
    // chunks have scales ptxas finds one.
    constexpr bool lacks_registers = Units > 64 && scales == UnitScales::Whole;
    const int thread = lacks_registers ? thread_index_anew() : static_cast<int>(threadIdx.x);
    const int lane = thread % 32, row = 16 * (thread / 32 % 4) + lane % 16;
    const int unit = lane / 16 * 8 + lane % 8;
    each_product([&](Part part_a, Part part_b, int octet) {
      unsigned a[4];
      load_matrix_x4(a, &from.a[channel_][part_a][octet + lane / 16][row]);
#pragma unroll
      for (int n = 0; n < Units / 16; ++n) {
        unsigned b[4];
        load_matrix_x4(b, &from.b[part_b][octet + lane / 8 % 2][unit + 16 * n]);
        mma_f16(chunk[0][2 * n], a, {b[0], b[1]});
        mma_f16(chunk[0][2 * n + 1], a, {b[2], b[3]});
      }
    });
  }

 private:
  const OctetStage<Units>* const ring_;
  const int channel_;
};

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
  const detail::StageProducts<Arithmetic, Units, scales> products(memory.ring, channel);
  int left = from.taps.count * from.slabs;
#pragma unroll
  for (int stage = 0; stage < stages - 1; ++stage) copies.copy(memory.ring[stage], stage < left);
  int at = 0, free = stages - 1;
#pragma unroll 1
  for (; left > 0; --left) {
    wait_for_copies<stages - 2>();
    if constexpr (std::same_as<Arithmetic, WarpgroupHalf3>) show_to_products();
    __syncthreads();  // behind which nobody reads the stage that is filled now
    copies.copy(memory.ring[free], left >= stages);
    free = at;
    at = at + 1 == stages ? 0 : at + 1;
    if (!works) continue;
    detail::OctetChunk<Units> chunk = {};
    products.multiply(free, chunk);
    const OctetStage<Units>& stage = memory.ring[free];
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
