#include "core/step_weights.h"

namespace ffjord {
namespace {

// y at the middle of a dopri5 step: y₀ + h Σ middle_i k_i.
constexpr std::array<double, 7> kMiddle = {
    6025192743. / 30085553152. / 2,     0,
    51252292925. / 65400821598. / 2,    -2691868925. / 45128329728. / 2,
    187940372067. / 1594534317056. / 2, -1776094331. / 19743644256. / 2,
    11237099. / 235043384. / 2};

}  // namespace

StageWeights step_weights(const Tableau& tableau, double theta) {
  if (theta == 1) return tableau.b;
  // The quartic's weights of y₁, y_mid, h f₀ and h f₁; those of y₀, y₁ and y_mid sum to 1.
  const double x = theta, x2 = x * x, x3 = x2 * x, x4 = x3 * x;
  const double end = -5 * x2 + 14 * x3 - 8 * x4, middle = 16 * x2 - 32 * x3 + 16 * x4;
  const double f0 = x - 4 * x2 + 5 * x3 - 2 * x4, f1 = x2 - 3 * x3 + 2 * x4;
  StageWeights weights{};
  for (std::size_t i = 0; i < kMiddle.size(); ++i)
    weights[i] = end * tableau.b[i] + middle * kMiddle[i];
  weights.front() += f0;
  weights[kMiddle.size() - 1] += f1;
  return weights;
}

}  // namespace ffjord
