#include "core/training.h"

#include <array>

namespace ffjord {

std::size_t agreed_iterations(const Burst& burst) {
  const std::size_t planned = burst.batch_sizes.size();
  if (!burst.group || burst.group->size() == 1) return planned;
  // Their clocks are not the same, and so are their plans: all do what the shortest has.
  std::array<double, 1> fewest{-double(planned)};
  burst.group->max(fewest);
  const auto count = static_cast<std::size_t>(-fewest[0]);
  std::size_t rows = 0;
  for (const std::uint32_t size : burst.batch_sizes.first(count)) rows += size;
  burst.group->require_same(burst.data, "the data that they train on");
  burst.group->require_same(
      fingerprint(burst.indices.first(rows), fingerprint(burst.batch_sizes.first(count))),
      "the rows of their batches");
  const OptimizerOptions& steps = burst.optimizer;
  const std::array<double, 2> numbers{double(burst.first_call), double(steps.step)};
  burst.group->require_same(
      fingerprint(burst.learning_rates.first(count),
                  fingerprint(std::span<const double>(numbers), burst.noise_seed)),
      "the seed, the iteration or the learning rate that they go on with");
  return count;
}

}  // namespace ffjord
