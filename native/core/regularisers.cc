#include "core/regularisers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/errors.h"

namespace ffjord {
namespace {

double half_per_dimension(double d) { return 0.5 / d; }
double per_dimension(double d) { return 1 / d; }
double per_root(double d) { return 1 / std::sqrt(d); }
double per_pair(double d) { return 1 / (d * (d - 1)); }

using enum RowSum;
using enum Derivatives;

constexpr std::array<Regulariser, kRegularisers> kTable{{
    {"kinetic", SquaredVelocity, None, false, half_per_dimension},
    {"jacobian", SquaredTangents, Tangents, false, per_dimension},
    {"l1int", AbsoluteVelocity, None, false, per_dimension},
    {"l2int", SquaredVelocity, None, true, per_root},
    {"dl2int", SquaredDirectional, Jacobian, true, per_root},
    {"JFrobint", SquaredTangents, Jacobian, true, per_dimension},
    {"JdiagFrobint", SquaredDiagonal, Jacobian, true, per_root},
    {"JoffdiagFrobint", SquaredOffDiagonal, Jacobian, false, per_pair},
}};

}  // namespace

double Regulariser::value(double sum, double dimension) const {
  return scale(dimension) * (root ? std::sqrt(sum) : sum);
}

double Regulariser::derivative(double sum, double dimension) const {
  if (!root) return scale(dimension);
  return sum > 0 ? scale(dimension) / (2 * std::sqrt(sum)) : 0;
}

std::span<const Regulariser, kRegularisers> regulariser_table() { return kTable; }

Regularisers::Regularisers(std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) add(name);
}

void Regularisers::add(std::string_view name) {
  std::string known;
  for (const Regulariser& one : kTable) {
    if (one.name == name) {
      const auto place = std::lower_bound(chosen_.begin(), chosen_.end(), &one);
      if (place == chosen_.end() || *place != &one) chosen_.insert(place, &one);
      return;
    }
    known += (known.empty() ? "" : ", ") + std::string(one.name);
  }
  throw Error(ErrorCode::InvalidArgument,
              "unknown regulariser '" + std::string(name) + "'; known: " + known);
}

const Regulariser* Regularisers::needing(Derivatives derivatives) const {
  for (const Regulariser* one : chosen_)
    if (one->needs >= derivatives) return one;
  return nullptr;
}

}  // namespace ffjord
