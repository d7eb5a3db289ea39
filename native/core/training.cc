#include "core/training.h"

#include <array>

namespace ffjord {

void require_agreement(const Burst& burst, Group& group) {
  if (burst.sharded) {
    group.require_same(burst.batch_sizes.size(), "the number of their batches");
  } else {
    group.require_same(burst.data, "the data that they train on");
    group.require_same(fingerprint(burst.indices, fingerprint(burst.batch_sizes)),
                       "the rows of their batches");
  }
  const OptimizerOptions& steps = burst.optimizer;
  const std::array<double, 2> numbers{double(burst.first_call), double(steps.step)};
  group.require_same(fingerprint(burst.learning_rates,
                                 fingerprint(std::span<const double>(numbers), burst.noise_seed)),
                     "the seed, the iteration or the learning rate that they go on with");
}

std::vector<std::size_t> rows_of_ranks(const Burst& burst, Group& group) {
  const std::size_t ranks = group.size(), batches = burst.batch_sizes.size();
  std::vector<double> sizes(batches * ranks);
  for (std::size_t batch = 0; batch < batches; ++batch)
    sizes[batch * ranks + group.rank()] = burst.batch_sizes[batch];
  group.sum(std::span(sizes));
  return {sizes.begin(), sizes.end()};
}

}  // namespace ffjord
