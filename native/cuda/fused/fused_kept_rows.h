// What a fused pullback is told, and what both ways through its layers share.
#pragma once

#include "cuda/fused/fused_rows.h"
#include "cuda/net/layer_backward.h"
#include "cuda/step/step_rows.h"

namespace ffjord::cuda {

struct FusedPullbackArguments {
  FusedNet net;
  FusedLayout layout;
  const Group* groups = nullptr;  ///< as the solve left them
  int group_count = 0, group_rows = 1;
  StepTape tape;
  int batch = 0, channels = 0, groups_a_tile = 1;
  int first_tile = 0, end_tile = 0;             ///< of this launch
  int stages = 0;                               ///< that are differentiated
  int places = 0;                               ///< entries of a pass that a thread has
  int first_place[FusedNet::kMostLayers] = {};  ///< of a layer among them
  const float* eps = nullptr;                   ///< (K, B, D)
  float* bar = nullptr;                         ///< λ (B, S)
  double* row_sums = nullptr;                   ///< (B)
  float* passes = nullptr;                      ///< [blocks][stages][places][a, z, u_k][threads]
  float* slices[FusedNet::kMostLayers] = {};    ///< W̄ [blocks][out][in]
  float* unit_sums = nullptr;  ///< [kUnitSums][blocks][units]; these two null: not wanted
};

/// The rows of a tile with a field, whose passes are kept for the way back.
template <class Field>
class FusedKeptRows : public Field {
 protected:
  __device__ explicit FusedKeptRows(const FusedPullbackArguments& s)
      : Field(s.net, s.layout, s.groups_a_tile, s.channels), s_(s) {}

  __device__ void clear(int offset, int count) const {
    for (int e = threadIdx.x; e < count; e += Field::Tile::kThreads)
      this->memory_[offset + e] = 0.f;
  }
  /// Adds to the sums of the launches before.
  __device__ void add(float& sum, float value) const {
    sum = s_.first_tile == 0 ? value : sum + value;
  }
  __device__ float& unit_sum(int kind, int unit) const {
    return s_.unit_sums[(std::size_t(kind) * gridDim.x + blockIdx.x) * this->net_.units + unit];
  }
  /// Where a stage's passes lie.
  __device__ float* passes_of(int stage) const {
    constexpr int kept = Field::Tile::kChannels + 1;
    return s_.passes +
           (std::size_t(blockIdx.x) * s_.stages + stage) * s_.places * kept * Field::Tile::kThreads;
  }

  const FusedPullbackArguments& s_;
};

}  // namespace ffjord::cuda
