// Inverse autoregressive flows of one row (Kingma et al. 2016), one after the other. Each reverses
// z where its number is odd; then
//   h = elu(M₁ᵀz + b₁) + c,  h ← elu(M₂ᵀh + b₂),  g = σ(M₄ᵀh + b₄ + 1),
//   z ← g z + (1 − g) (M₃ᵀh + b₃),  log|det| += Σ log g,
// with masked weights (in, out): z_i reaches the units of blocks from i on, a unit those from
// itself on, and the units of block i the outputs behind i. So the inputs of a map reach runs of
// its outputs, and what is masked is never read.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "core/posterior_plan.h"
#include "core/small_vectors.h"

namespace ffjord {

/// The numbers of a row are c (W).
template <class Real>
class InverseAutoregressiveFlow {
 public:
  /// `parameters` are all weights, among which those of the plan stand.
  InverseAutoregressiveFlow(const InverseAutoregressive& kind, const PosteriorPlan& plan,
                            std::span<const Real> parameters)
      : flows_(kind.flows),
        latent_(plan.latent),
        width_(kind.width),
        plan_(plan),
        parameters_(parameters) {}

  /// z before each flow.
  std::size_t tape_size() const { return flows_ * latent_; }

  Real solve(std::span<const Real> numbers, std::span<Real> z, std::span<Real> tape) const {
    Real log_det = 0;
    for (std::size_t k = 0; k < flows_; ++k) {
      keep<Real>(z, tape, k * latent_);
      const One one(*this, numbers, k, z);
      for (std::size_t i = 0; i < latent_; ++i) {
        z[i] = one.gate[i] * one.z[i] + (1 - one.gate[i]) * one.mean[i];
        log_det += std::log(one.gate[i]);
      }
    }
    return log_det;
  }

  void pullback(std::span<const Real> numbers, std::span<const Real> tape, Real log_det_bar,
                std::span<Real> z_bar, std::span<Real> numbers_bar,
                std::span<Real> gradients) const {
    std::vector<Real> mean_bar(latent_), gate_bar(latent_), hidden_bar(width_), first_bar(width_);
    for (std::size_t k = flows_; k-- > 0;) {
      const One one(*this, numbers, k, tape.subspan(k * latent_, latent_));
      for (std::size_t i = 0; i < latent_; ++i) {
        const Real gate = one.gate[i];
        mean_bar[i] = (1 - gate) * z_bar[i];
        // of the logit: log g has the slope 1 − g
        gate_bar[i] = (1 - gate) * (gate * (one.z[i] - one.mean[i]) * z_bar[i] + log_det_bar);
        z_bar[i] *= gate;
      }
      std::fill(hidden_bar.begin(), hidden_bar.end(), Real(0));
      std::fill(first_bar.begin(), first_bar.end(), Real(0));
      pull(map(k, 2), one.second, mean_bar, hidden_bar, gradients);
      pull(map(k, 3), one.second, gate_bar, hidden_bar, gradients);
      for (std::size_t i = 0; i < width_; ++i) hidden_bar[i] *= elu_slope(one.second[i]);
      pull(map(k, 1), one.first, hidden_bar, first_bar, gradients);
      add_scaled<Real>(1, first_bar, numbers_bar);
      for (std::size_t i = 0; i < width_; ++i) first_bar[i] *= elu_slope(one.first[i] - numbers[i]);
      pull(map(k, 0), one.z, first_bar, z_bar, gradients);
      if (reverses(k)) std::reverse(z_bar.begin(), z_bar.end());
    }
  }

 private:
  // A masked map: input i reaches the outputs from `first_output(i)` on.
  struct Map {
    std::size_t weight, bias;  // offsets
    std::size_t in, out;
    std::size_t inputs_in_block, outputs_in_block;
    std::size_t shift;  // 1: outputs see the blocks before their own alone

    std::size_t first_output(std::size_t input) const {
      return std::min(out, (input / inputs_in_block + shift) * outputs_in_block);
    }
  };

  static bool reverses(std::size_t k) { return k % 2 == 1; }
  static Real elu(Real x) { return x > 0 ? x : std::expm1(x); }
  /// By the value.
  static Real elu_slope(Real value) { return value > 0 ? 1 : value + 1; }

  /// M₁, M₂, M₃, M₄ of flow k.
  Map map(std::size_t k, std::size_t number) const {
    const std::size_t block = width_ / latent_, at = 8 * k + 2 * number;
    const std::size_t weight = plan_.tensors[at], bias = plan_.tensors[at + 1];
    if (number == 0) return {weight, bias, latent_, width_, 1, block, 0};
    if (number == 1) return {weight, bias, width_, width_, 1, 1, 0};
    return {weight, bias, width_, latent_, block, 1, 1};
  }

  std::span<const Real> reach(const Map& map, std::size_t input) const {
    const std::size_t first = map.first_output(input);
    return parameters_.subspan(map.weight + input * map.out + first, map.out - first);
  }

  std::vector<Real> apply(const Map& map, std::span<const Real> x) const {
    const std::span<const Real> bias = parameters_.subspan(map.bias, map.out);
    std::vector<Real> y(bias.begin(), bias.end());
    for (std::size_t i = 0; i < map.in; ++i)
      add_scaled<Real>(x[i], reach(map, i), std::span(y).subspan(map.first_output(i)));
    return y;
  }

  /// Adds to x̄ and, unless they are empty, to the gradients.
  void pull(const Map& map, std::span<const Real> x, std::span<const Real> y_bar,
            std::span<Real> x_bar, std::span<Real> gradients) const {
    for (std::size_t i = 0; i < map.in; ++i) {
      const std::span<const Real> weights = reach(map, i);
      const std::span<const Real> bar = y_bar.subspan(map.first_output(i));
      x_bar[i] += dot<Real>(weights, bar);
      if (gradients.empty()) continue;
      const std::size_t place = map.weight + (i + 1) * map.out - bar.size();
      add_scaled<Real>(x[i], bar, gradients.subspan(place, bar.size()));
    }
    if (!gradients.empty()) add_scaled<Real>(1, y_bar, gradients.subspan(map.bias, map.out));
  }

  // One flow at one z.
  struct One {
    One(const InverseAutoregressiveFlow& all, std::span<const Real> context, std::size_t k,
        std::span<const Real> before)
        : z(before.begin(), before.end()) {
      if (reverses(k)) std::reverse(z.begin(), z.end());
      first = all.apply(all.map(k, 0), z);
      for (std::size_t i = 0; i < first.size(); ++i) first[i] = elu(first[i]) + context[i];
      second = all.apply(all.map(k, 1), first);
      for (Real& value : second) value = elu(value);
      mean = all.apply(all.map(k, 2), second);
      gate = all.apply(all.map(k, 3), second);
      for (Real& value : gate) value = sigmoid(value + 1);
    }

    std::vector<Real> z, first, second, mean, gate;  // z as the flow reads it; h, h; m, g
  };

  const std::size_t flows_, latent_, width_;
  const PosteriorPlan& plan_;
  const std::span<const Real> parameters_;
};

}  // namespace ffjord
