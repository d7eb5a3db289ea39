#include "core/step_weights.h"

namespace ffjord {

StageWeights step_weights(const Tableau& tableau, double theta) {
  if (theta == 1) return tableau.b;
  StageWeights weights{};
  for (int i = 0; i <= tableau.end_stage(); ++i)
    for (int p = Tableau::kDensePowers; p-- > 0;)
      weights[i] = (weights[i] + tableau.dense[i][p]) * theta;
  return weights;
}

}  // namespace ffjord
