#include "core/stiffness.h"

#include <cmath>

namespace ffjord {
namespace {

// R(−x): y₁ of y' = −x y, h = 1, y₀ = 1.
double amplification(const Tableau& tableau, double x) {
  StageWeights k{};
  double end = 1;
  for (int i = 0; i < tableau.stages; ++i) {
    double argument = 1;
    for (int j = 0; j < i; ++j) argument += tableau.a[i][j] * k[j];
    k[i] = -x * argument;
    end += tableau.b[i] * k[i];
  }
  return end;
}

}  // namespace

double stability_limit(const Tableau& tableau) {
  constexpr double kStep = 1e-3;
  double x = kStep;
  while (std::abs(amplification(tableau, x)) <= 1) x += kStep;
  return x;
}

}  // namespace ffjord
