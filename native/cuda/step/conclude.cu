#include <algorithm>
#include <cmath>

#include "cuda/device/grid.h"
#include "cuda/step/conclude.h"
#include "cuda/step/tableau_sums.h"
#include "cuda/step/tile_sums.h"
#include "cuda/step/verdict.h"

namespace ffjord::cuda {
namespace {

struct ConcludeArguments {
  StepArrays rows;
  ControlArguments control;
  Conclusion part = Conclusion::Both;
};

struct ConcludeMemory {
  TileParts rows;
  NormPart sums[kTileThreads];
  Group group;  ///< of a batch that steps together
};

/// Neighbours in a row that a lane takes at once: four, 16 bytes, where rows are whole vectors.
template <int Width>
struct Neighbours {
  float values[Width];

  __device__ static Neighbours load(const float* from) {
    Neighbours result;
    if constexpr (Width == 4) {
      const float4 four = *reinterpret_cast<const float4*>(from);
      result.values[0] = four.x;
      result.values[1] = four.y;
      result.values[2] = four.z;
      result.values[3] = four.w;
    } else {
      result.values[0] = *from;
    }
    return result;
  }
  __device__ void store(float* to) const {
    if constexpr (Width == 4)
      *reinterpret_cast<float4*>(to) = {values[0], values[1], values[2], values[3]};
    else
      *to = values[0];
  }
};

// A block has a tile of rows, or tile after tile, and a warp a row of it; a batch that steps
// together waits between the verdict and what follows for all its blocks. A lane's loads of all
// stages are under way together, as the tableau's weights are tested afterwards.
//
// Bytes a row of S: 4 S (stages + 1) read and 4 S written for the verdict, up to 16 S read and 12 S
// written behind it, out of the second-level cache. Registers: a rate of each stage a channel.
template <int Width, bool Together>
class Concluding {
 public:
  __device__ Concluding(const ConcludeArguments& s, const DeviceTableau& tableau,
                        ConcludeMemory& memory)
      : s_(s.rows),
        c_(s.control),
        tableau_(tableau),
        memory_(memory),
        rows_(tile_rows(s_.groups.rows)) {
    if constexpr (Together) {
      if (threadIdx.x == 0) memory_.group = s_.groups.data[0];
      __syncthreads();
    }
  }

  __device__ void run(Conclusion part) {
    if (Together && !memory_.group.working) return;
    const int tiles = tiles_of(s_.batch, rows_), step = gridDim.x;
    if (part != Conclusion::Acceptance) {
      for (int tile = blockIdx.x; tile < tiles; tile += step) finish(tile);
      if (part == Conclusion::Measures) return;
      if constexpr (Together) judge_together(tiles);
    }
    if (part == Conclusion::Verdict) return;
    for (int tile = blockIdx.x; tile < tiles; tile += step) accept(tile);
  }

 private:
  __device__ Group& group_of(int row) const {
    if constexpr (Together) return memory_.group;
    return s_.groups.of_row(row);
  }
  __device__ bool has(int row) const { return row < s_.batch && group_of(row).working; }

  // Rows to their ends; the verdict too, of rows and of tiles that step by themselves.
  __device__ void finish(int tile) {
    const bool by_row = !Together && s_.groups.rows == 1;
    for (int r = warp_index(); r < rows_; r += kTileWarps) {
      const int row = tile * rows_ + r;
      const NormPart part = finish_row(row);
      if (lane_index() == 0) memory_.rows[r] = part;
    }
    if (by_row)
      __syncwarp();  // a warp has one of the rows, and judges it
    else
      sum_tile(memory_.rows, rows_);
    if constexpr (Together) {
      if (threadIdx.x == 0) c_.norm.parts[tile] = memory_.rows[0];
    } else if (by_row ? lane_index() == 0 : threadIdx.x == 0) {
      const int index = by_row ? tile * rows_ + warp_index() : tile;
      if (index < s_.groups.count && s_.groups.data[index].working)
        judge_group(c_, s_.groups.data[index], memory_.rows[by_row ? warp_index() : 0], index,
                    true);
    }
    __syncthreads();
  }

  __device__ NormPart finish_row(int row) const {
    NormPart part;
    const bool works = has(row);
    if (works) {
      const std::size_t first = std::size_t(row) * s_.channels;
      const float h = static_cast<float>(group_of(row).h);
      for (int channel = Width * lane_index(); channel < s_.channels; channel += Width * 32)
        finish_entries(first + channel, channel, h, part);
    }
    join_lanes(part, c_.norm, row, works, lane_index(), WarpSum());
    return part;
  }
  __device__ void finish_entries(std::size_t at, int channel, float h, NormPart& part) const {
    using Values = Neighbours<Width>;
    const Values y = Values::load(s_.y + at);
    Values rates[kMaxStages];
#pragma unroll
    for (int i = 0; i < kMaxStages; ++i)
      if (i < tableau_.stages) rates[i] = Values::load(s_.stage(i) + at);
    AttemptSums sums[Width];
#pragma unroll
    for (int i = 0; i < kMaxStages; ++i) {
      if (i >= tableau_.stages) continue;
#pragma unroll
      for (int e = 0; e < Width; ++e) sums[e].add(tableau_, i, rates[i].values[e]);
    }
    Values end;
#pragma unroll
    for (int e = 0; e < Width; ++e) {
      const Measured entry = sums[e].of(tableau_, h, y.values[e]);
      end.values[e] = entry.end;
      add_entry(part, c_.norm, channel + e, y.values[e], entry);
    }
    end.store(s_.end + at);
  }

  // The parts of all tiles; every block comes to the same verdict, and the first one tells.
  __device__ void judge_together(int tiles) {
    gridDim.x > 1 ? sync_grid() : __syncthreads();
    // Others have read the group by now.
    const NormPart part = sum_parts(c_.norm.parts, tiles, memory_.sums);
    const bool tells = blockIdx.x == 0;
    if (threadIdx.x == 0) {
      judge_group(c_, memory_.group, part, 0, tells);
      if (tells) s_.groups.data[0] = memory_.group;
    }
    __syncthreads();
  }

  __device__ void accept(int tile) const {
    for (int r = warp_index(); r < rows_; r += kTileWarps)
      if (const int row = tile * rows_ + r; row < s_.batch && group_of(row).accepted)
        accept_row(row, group_of(row));
  }
  __device__ void accept_row(int row, const Group& group) const {
    using Values = Neighbours<Width>;
    const std::size_t first = std::size_t(row) * s_.channels;
    const StepTape tape = *c_.tape;
    const int step = group.step - 1;
    if (tape.states) {
      float* const to = tape.states + (std::size_t(step) * s_.batch + row) * tape.columns;
      for (int channel = lane_index(); channel < tape.columns; channel += 32)
        to[channel] = s_.y[first + channel];
      if (lane_index() == 0 && row % s_.groups.rows == 0)
        tape.steps[std::size_t(row / s_.groups.rows) * tape.capacity + step] = {group.t, group.h,
                                                                                group.theta};
    }
    for (int stop = group.next_stop; stop < group.end_stop; ++stop)
      for (int channel = lane_index(); channel < s_.channels; channel += 32)
        c_.stops.states[stop * s_.size() + first + channel] =
            interpolate(first + channel, group.h, (c_.stops.times[stop] - group.t) / group.h);
    __syncwarp();  // what lanes have read, others overwrite
    for (int channel = Width * lane_index(); channel < s_.channels; channel += Width * 32) {
      const std::size_t at = first + channel;
      Values y;
      if (group.theta == 1) {
        y = Values::load(s_.end + at);
      } else {
#pragma unroll
        for (int e = 0; e < Width; ++e) y.values[e] = interpolate(at + e, group.h, group.theta);
      }
      y.store(s_.y + at);
      if (tableau_.fsal) Values::load(s_.stage(tableau_.stages - 1) + at).store(s_.stages + at);
    }
  }
  __device__ float interpolate(std::size_t at, double h, double theta) const {
    float sum = 0.f;
    for (int i = 0; i <= tableau_.end_stage(); ++i)
      if (const float weight = tableau_.weight(i, theta); weight != 0.f)
        sum = fmaf(weight, s_.stage(i)[at], sum);
    return s_.y[at] + static_cast<float>(h) * sum;
  }

  const StepArrays& s_;
  const ControlArguments& c_;
  const DeviceTableau& tableau_;
  ConcludeMemory& memory_;
  const int rows_;  ///< of a tile
};

template <int Width, bool Together>
__global__ void __launch_bounds__(kTileThreads)
    conclude_attempts(const __grid_constant__ ConcludeArguments s,
                      const __grid_constant__ DeviceTableau tableau) {
  Concluding<Width, Together>(s, tableau, shared_memory<ConcludeMemory>()).run(s.part);
}

}  // namespace

int resident_conclusions() {
  const auto resident = [](auto kernel) {
    return resident_blocks("conclude_attempts", kernel, kTileThreads, sizeof(ConcludeMemory));
  };
  return std::min(resident(conclude_attempts<1, true>), resident(conclude_attempts<4, true>));
}

void conclude_attempt(const StepArrays& arrays, const DeviceTableau& tableau,
                      const ControlArguments& control, int resident, Conclusion part,
                      const Stream& stream) {
  const bool together =
      arrays.groups.count == 1 && (arrays.groups.rows > 1 || part == Conclusion::Measures);
  const int tiles = tiles_of(arrays.batch, tile_rows(arrays.groups.rows));
  LaunchShape shape{dim3(together ? std::min(tiles, resident) : tiles), dim3(kTileThreads),
                    sizeof(ConcludeMemory)};
  shape.cooperative = together && shape.grid.x > 1;
  const ConcludeArguments s{arrays, control, part};
  const auto start = [&](auto kernel) {
    launch("conclude_attempts", kernel, shape, stream, s, tableau);
  };
  if (arrays.channels % 4 == 0)
    start(together ? conclude_attempts<4, true> : conclude_attempts<4, false>);
  else
    start(together ? conclude_attempts<1, true> : conclude_attempts<1, false>);
}

}  // namespace ffjord::cuda
