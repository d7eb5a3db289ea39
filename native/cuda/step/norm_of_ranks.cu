#include <array>

#include "cuda/device/grid.h"
#include "cuda/step/group_norm.h"
#include "cuda/step/norm_of_ranks.h"

namespace ffjord::cuda {
namespace {

// A block for each set of `count` parts.
__global__ void sum_part_sets(const NormPart* parts, int count, NormPart* totals) {
  const NormPart sum = sum_parts(parts + std::size_t(blockIdx.x) * count, count,
                                 shared_memory<NormPart[kFlatThreads]>());
  if (threadIdx.x == 0) totals[blockIdx.x] = sum;
}

// What of a part is a sum over rows.
template <class Part, class Body>
void for_each_sum(Part& part, const Body& body) {
  for (auto& square : part.squares) body(square);
  body(part.rate_change);
  body(part.argument_change);
}

}  // namespace

NormOfRanks::NormOfRanks(const Stream& stream)
    : stream_(stream), totals_(kMostSets, stream), seen_(kMostSets) {}

void NormOfRanks::add_up(SharedSums& sums, int sets, ControlArguments& control) {
  launch("sum_part_sets", sum_part_sets,
         LaunchShape{dim3(sets), dim3(kFlatThreads), kFlatThreads * sizeof(NormPart)}, stream_,
         control.norm.parts, control.parts, totals_.data());
  totals_.copy_out(seen_.span(), stream_);
  stream_.synchronize();

  constexpr int kSums = kMostTensors + 2;
  std::array<double, 1 + kMostSets * kSums> values{double(control.batch)};
  std::size_t at = 1;
  for (int set = 0; set < sets; ++set)
    for_each_sum(seen_[set], [&](double sum) { values[at++] = sum; });
  sums.sum(std::span(values).first(at));
  at = 1;
  for (int set = 0; set < sets; ++set)
    for_each_sum(seen_[set], [&](double& sum) { sum = values[at++]; });
  totals_.copy_in(seen_.span(), stream_);

  control.batch = control.groups.rows = static_cast<int>(values[0]);
  control.norm.parts = totals_.data();
  control.parts = 1;
}

}  // namespace ffjord::cuda
