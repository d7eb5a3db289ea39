#include "core/training.h"

#include <array>

namespace ffjord {

void require_agreement(const Burst& burst, Group& group) {
  group.require_same(burst.data, "the data that they train on");
  group.require_same(fingerprint(burst.indices, fingerprint(burst.batch_sizes)),
                     "the rows of their batches");
  const OptimizerOptions& steps = burst.optimizer;
  const std::array<double, 2> numbers{double(burst.first_call), double(steps.step)};
  group.require_same(fingerprint(burst.learning_rates,
                                 fingerprint(std::span<const double>(numbers), burst.noise_seed)),
                     "the seed, the iteration or the learning rate that they go on with");
}

}  // namespace ffjord
