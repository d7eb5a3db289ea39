// Products of a 3 × 3 convolution whose depth are few channels, in float32: padded to a chunk they
// would be zeros for the most part, and to multiply costs less than to make the octets of what
// comes out. Of 1 → 64 channels at 28 × 28, 200 images, value and tangent: 0.36 GFLOP.
//
// A block loads the lines of a tile and those around it once; a thread sums a run of neighbouring
// lines of one unit, which share what they load: 3 multiply-adds a load of a weight or an entry at
// least. Registers: Units / 4 sums, as many entries.
#pragma once

#include "cuda/net/octet_tile.h"

namespace ffjord::cuda {

/// Channels in and what they are multiplied by.
struct FewChannels {
  static constexpr int kMost = 16, kMostWidth = 64;  ///< channels; pixels of a row of an image
  static constexpr int kUnits = 64;                  ///< of a tile, whose memory every card has
  static constexpr int kMostLines = kTileRows + 2 * (kMostWidth + 2);

  const float* value = nullptr;     ///< (rows, channels)
  const float* tangents = nullptr;  ///< (K, rows, channels)
  std::size_t size = 0;             ///< of one of them
  int channels = 0, units = 0;
  RowLines lines;
  const float* weight = nullptr;  ///< (taps, channels, units)
  bool transposed = false;        ///< the taps lead the other way
};

/// What a tile's lines and those around it hold, of two channels of rows.
using FewEntries = float[2][FewChannels::kMost][FewChannels::kMostLines];

/// Fills a tile.
template <int Units>
struct FillByFewChannels {
  const FewChannels& s;
  std::ptrdiff_t slot;  ///< of what comes in
  FewEntries& entries;
  OctetTile<Units>& tile;

  __device__ __forceinline__ void operator()(int channel, bool both) const {
    for (int i = 0; i <= both; ++i) load(channel + i, entries[i]);
    __syncthreads();
#pragma unroll 1
    for (int i = 0; i <= both; ++i) multiply(entries[i], tile[i]);
  }

 private:
  static constexpr int kRun = kTileRows * Units / kOctetThreads;  // lines of a thread

  __device__ void load(int channel,
                       float (&to)[FewChannels::kMost][FewChannels::kMostLines]) const {
    const float* const from =
        slot + (channel == 0 ? s.value : s.tangents + std::size_t(channel - 1) * s.size);
    const int lines = kTileRows + 2 * s.lines.margin();
    for (int line = threadIdx.x; line < lines; line += kOctetThreads) {
      const int row = s.lines.row(blockIdx.x * kTileRows + line - s.lines.margin());
      for (int c = 0; c < s.channels; ++c)
        to[c][line] = row < 0 ? 0.f : from[std::size_t(row) * s.channels + c];
    }
  }

  __device__ void multiply(const float (&from)[FewChannels::kMost][FewChannels::kMostLines],
                           float (&to)[kTileRows][Units + 4]) const {
    const int unit = threadIdx.x % Units, first = threadIdx.x / Units * kRun;
    const float* const weight = s.weight + min(int(blockIdx.y) * Units + unit, s.units - 1);
    float sums[kRun] = {};
#pragma unroll 1
    for (int c = 0; c < s.channels; ++c)
#pragma unroll 1
      for (int y = 0; y < 3; ++y) {
        float around[kRun + 2];
#pragma unroll
        for (int i = 0; i < kRun + 2; ++i) around[i] = from[c][first + y * s.lines.width() + i];
#pragma unroll
        for (int x = 0; x < 3; ++x) {
          const int tap = s.transposed ? 8 - (3 * y + x) : 3 * y + x;
          const float w = weight[std::size_t(tap * s.channels + c) * s.units];
#pragma unroll
          for (int i = 0; i < kRun; ++i) sums[i] = fmaf(w, around[i + x], sums[i]);
        }
      }
#pragma unroll
    for (int i = 0; i < kRun; ++i) to[first + i][unit] = sums[i];
  }
};

}  // namespace ffjord::cuda
