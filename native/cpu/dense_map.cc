#include "cpu/dense_map.h"

#include <algorithm>
#include <vector>

#include "cpu/aligned.h"
#include "cpu/thread_pool.h"
#include "cpu/tile_slots.h"

namespace ffjord::cpu {
namespace {

/// X̄ = Wᵀ Ȳ is a sum over units, which groups of them make by themselves: as many as the map alone
/// says, for the same bits on any number of threads.
constexpr std::size_t kLeastGroup = 1024, kMostGroups = 16;

/// The `part`-th of `parts` runs of about equal length, of whole pieces of kPulledUnits.
RowRange group_of(std::size_t units, std::size_t part, std::size_t parts) {
  const std::size_t pieces = (units + kPulledUnits - 1) / kPulledUnits;
  return {part * pieces / parts * kPulledUnits,
          std::min(units, (part + 1) * pieces / parts * kPulledUnits)};
}

class CpuDenseMap : public FeedForward<float> {
 public:
  CpuDenseMap(const FeedForwardPlace<float>& place, std::string_view instruction_set, int threads)
      : layer_(place.plan.layers.front()),
        parameters_(place.parameters),
        kernels_(dense_map_kernels(instruction_set)),
        threads_(threads) {}

  std::unique_ptr<FeedForwardTape> apply(std::size_t batch, std::span<const float> x,
                                         std::span<float> y, bool keep_tape) override {
    const DenseMap map = this->map();
    x_.assign(whole_blocks(batch) * map.in, 0.f);
    for (std::size_t row = 0; row < batch; ++row) {
      float* const to = x_.data() + row / kDenseBlock * kDenseBlock * map.in + row % kDenseBlock;
      for (std::size_t k = 0; k < map.in; ++k) to[k * kDenseBlock] = x[row * map.in + k];
    }
    const DenseApplication call{batch, x_.data(), y.data()};
    Team team(threads_);
    scratch_.resize(std::max<std::size_t>(scratch_.size(), team.size()));
    team.run((map.out + kAppliedUnits - 1) / kAppliedUnits, [&](int worker, std::size_t item) {
      const std::size_t first = item * kAppliedUnits;
      kernels_.apply(map, {first, std::min(map.out, first + kAppliedUnits)}, call,
                     scratch(worker, call.scratch()));
    });
    return keep_tape ? std::make_unique<FeedForwardTape>() : nullptr;
  }

  void pullback(const FeedForwardTape&, const FeedForwardBars<float>& bars) override {
    const DenseMap map = this->map();
    const std::size_t batch = bars.batch, in = whole_blocks(map.in), size = batch * in;
    const TileSlots slots({batch, kSmallTile}, bars.share, most_slots(map.in * map.out, 1));
    std::vector<RowRange> rows;
    for (std::size_t slot = 0; slot < slots.count(); ++slot) rows.push_back(slots.rows(slot));
    x_.assign(size, 0.f);
    for (std::size_t row = 0; row < batch; ++row)
      std::copy_n(bars.x.data() + row * map.in, map.in, x_.data() + row * in);

    const std::size_t groups = std::clamp<std::size_t>(map.out / kLeastGroup, 1, kMostGroups);
    x_bars_.assign(bars.x_bar.empty() ? 0 : groups * size, 0.f);
    Team team(threads_);
    scratch_.resize(std::max<std::size_t>(scratch_.size(), team.size()));
    team.run(groups, [&](int worker, std::size_t group) {
      const bool wanted = !bars.gradients.empty();
      const DensePullback call{batch,
                               rows,
                               x_.data(),
                               bars.y_bar.data(),
                               x_bars_.empty() ? nullptr : x_bars_.data() + group * size,
                               wanted ? bars.gradients.data() + layer_.weight : nullptr,
                               wanted ? bars.gradients.data() + layer_.bias : nullptr};
      float* const memory = scratch(worker, call.scratch(map.in));
      const auto [first, end] = group_of(map.out, group, groups);
      for (std::size_t unit = first; unit < end; unit += kPulledUnits)
        kernels_.pull_back(map, {unit, std::min(end, unit + kPulledUnits)}, call, memory);
    });
    if (bars.x_bar.empty()) return;
    add_as_tree(groups, [&](std::size_t to, std::size_t from) {
      for (std::size_t i = 0; i < size; ++i) x_bars_[to * size + i] += x_bars_[from * size + i];
    });
    for (std::size_t row = 0; row < batch; ++row)
      for (std::size_t k = 0; k < map.in; ++k)
        bars.x_bar[row * map.in + k] += x_bars_[row * in + k];
  }

 private:
  DenseMap map() const {
    return {parameters_.data() + layer_.weight, parameters_.data() + layer_.bias, layer_.size_in(),
            layer_.size_out()};
  }
  float* scratch(int worker, std::size_t size) {
    AlignedFloats& memory = scratch_[worker];
    if (memory.size() < size) memory.resize(size);
    return memory.data();
  }

  const FeedForwardLayer& layer_;
  const std::span<const float> parameters_;
  const DenseMapKernels kernels_;
  const int threads_;
  AlignedFloats x_, x_bars_;            // padded; x̄ of each group
  std::vector<AlignedFloats> scratch_;  // one a worker
};

}  // namespace

bool is_dense_map(const FeedForwardPlan& plan) {
  const FeedForwardLayer& first = plan.layers.front();
  return plan.layers.size() == 1 && first.map.is_dense && !first.gated &&
         first.activation == Activation::Identity;
}

std::unique_ptr<FeedForward<float>> make_dense_map(const FeedForwardPlace<float>& place,
                                                   std::string_view instruction_set, int threads) {
  return std::make_unique<CpuDenseMap>(place, instruction_set, threads);
}

}  // namespace ffjord::cpu
