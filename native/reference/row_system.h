// The ordinary differential equation of rows that step together, on one flat state [z | Δlogp | r]:
// dz/dt = f, dΔlogp/dt = −div f, dr/dt = ±ρ. The regularisers' integrals are positive in both
// directions of time, so the sign is that of the solve.
#pragma once

#include "reference/dynamics.h"
#include "reference/integrate.h"

namespace ffjord::reference {

class RowSystem {
 public:
  RowSystem(const Dynamics& dynamics, const DynamicsPlan& plan, bool reverse, std::size_t batch,
            View eps, View context);

  std::size_t batch() const { return batch_; }
  std::size_t z_size() const { return batch_ * dynamics_.dimension(); }
  std::size_t size() const { return z_size() + batch_ * (1 + regularisers_); }
  std::size_t context_size() const { return context_.size(); }
  const Dynamics& dynamics() const { return dynamics_; }

  /// The parts of a state, a rate or a cotangent; the last two may be missing at its end.
  template <class Array>
  auto z(Array&& state) const {
    return std::span(state).first(z_size());
  }
  template <class Array>
  auto delta_logp(Array&& state) const {
    return std::span(state).subspan(z_size(), batch_);
  }
  template <class Array>
  auto regularisers(Array&& state) const {
    return std::span(state).subspan(z_size() + batch_, batch_ * regularisers_);
  }

  /// Reads z alone of `state`.
  void derivative(double t, View state, Target rate) const;
  /// Cotangent of a rate → adds to z̄ (B, D), `gradients` and c̄ (B, C; both may be empty); returns
  /// t̄.
  double pullback(double t, View state, View rate_bar, Target z_bar, Target gradients,
                  Target context_bar) const;

  /// The tensors of the state, z and Δlogp in the error norm.
  std::vector<Tensor> tensors() const;

 private:
  Point point(double t, View state) const { return {t, batch_, z(state), eps_, context_}; }

  const Dynamics& dynamics_;
  DynamicsPlan plan_;
  double direction_;
  std::size_t batch_, regularisers_;
  View eps_, context_;
};

}  // namespace ffjord::reference
