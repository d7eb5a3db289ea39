// A step of the optimizer on flat arrays: the interface, and the host's.
#pragma once

#include <cmath>
#include <span>

#include "core/optimizer_options.h"
#include "core/parameters.h"
#include "core/update_rule.h"

namespace ffjord {

/// All as long as the parameters.
template <class Real>
struct OptimizerArrays {
  std::span<const Real> gradients;
  std::span<Real> parameters, first, second;  ///< weights and their moments
  std::span<Real> average;                    ///< of the weights; empty: none is kept
  bool starts_average = false;                ///< it holds nothing yet
};

/// The optimizer of the parameters of a layout, on the device that they lie on.
template <class Real>
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// As optimizer_step, on arrays in the device's memory.
  virtual PendingNorm step(const OptimizerOptions& options,
                           const OptimizerArrays<Real>& arrays) = 0;
};

/// ‖g‖₂ over trainable parameters, summed in float64.
template <class Real>
double gradient_norm(const ParameterLayout& layout, std::span<const Real> gradients) {
  double sum = 0;
  for (const Parameter& parameter : layout.parameters) {
    if (!parameter.trainable) continue;
    for (Real g : gradients.subspan(parameter.offset, parameter.size)) sum += double(g) * double(g);
  }
  return std::sqrt(sum);
}

/// The weight decay that acts on a tensor.
inline double decay_of(const OptimizerOptions& options, const Parameter& parameter) {
  return parameter.role == Role::Weight ? options.weight_decay : 0;
}

/// The same for all weights of a tensor. The rule is a copy, which no weight can lie in, and the
/// type a constant: the compiler then moves four weights at once.
template <OptimizerType type, class Real>
void update_all(const UpdateRule<Real> rule, Real scale, Real decay, std::span<const Real> gradient,
                std::span<Real> weight, std::span<Real> first, std::span<Real> second) {
  for (std::size_t i = 0; i < weight.size(); ++i)
    rule.template update<type>(gradient[i], scale, decay, weight[i], first[i], second[i]);
}

/// Moves the parameters along −gradients; returns the norm of the gradients before clipping.
template <class Real>
double optimizer_step(const OptimizerOptions& options, const ParameterLayout& layout,
                      const OptimizerArrays<Real>& arrays) {
  const double norm = gradient_norm(layout, arrays.gradients);
  const UpdateRule<Real> rule(options);
  const Real scale(clip_scale(options.clip_norm, norm));
  for (const Parameter& p : layout.parameters) {
    if (!p.trainable) continue;
    const Real decay(decay_of(options, p));
    const auto of = [&](auto all) { return all.subspan(p.offset, p.size); };
    with_type(options.type, [&](auto type) {
      update_all<type()>(rule, scale, decay, of(arrays.gradients), of(arrays.parameters),
                         of(arrays.first), of(arrays.second));
    });
  }
  for (std::size_t i = 0; i < arrays.average.size(); ++i) {
    const Real weight = arrays.parameters[i];
    const Real before = arrays.starts_average ? weight : arrays.average[i];
    arrays.average[i] = moved_average(options.average_decay, before, weight);
  }
  return norm;
}

}  // namespace ffjord
