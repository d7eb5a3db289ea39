// Planar flows of one row (Rezende and Mohamed 2015), one after the other:
//   z ← z + û tanh(wᵀz + b),  log|det| += log|1 + (1 − tanh²) wᵀû|,
// with û = u + (m(wᵀu) − wᵀu) w / ‖w‖² and m(x) = log(1 + eˣ) − 1, so that wᵀû = m(wᵀu) > −1 and
// each flow is invertible.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include "core/element_map.h"
#include "core/posterior_plan.h"
#include "core/small_vectors.h"

namespace ffjord {

/// The numbers of a row are u (K, L), w (K, L) and b (K).
template <class Real>
class PlanarFlow {
 public:
  PlanarFlow(const Planar& kind, const PosteriorPlan& plan)
      : flows_(kind.flows), latent_(plan.latent) {}

  /// Numbers that a solve keeps of a row: z before each flow.
  std::size_t tape_size() const { return flows_ * latent_; }

  /// Maps z in place; returns log|det|.
  Real solve(std::span<const Real> numbers, std::span<Real> z, std::span<Real> tape) const {
    Real log_det = 0;
    for (std::size_t k = 0; k < flows_; ++k) {
      keep<Real>(z, tape, k * latent_);
      const One one(*this, numbers, k, z);
      log_det += std::log(std::abs(one.determinant()));
      add_scaled<Real>(one.tanh, one.u, z);
      add_scaled<Real>(one.tanh * one.along, one.w, z);
    }
    return log_det;
  }

  /// z̄k → z̄0 in place; adds to the numbers' cotangents.
  void pullback(std::span<const Real> numbers, std::span<const Real> tape, Real log_det_bar,
                std::span<Real> z_bar, std::span<Real> numbers_bar, std::span<Real>) const {
    for (std::size_t k = flows_; k-- > 0;) {
      const std::span<const Real> z = tape.subspan(k * latent_, latent_);
      const One one(*this, numbers, k, z);
      const Real slope = 1 - one.tanh * one.tanh, norm = dot<Real>(one.w, one.w);
      const Real determinant_bar = log_det_bar / one.determinant();
      const Real u_z = dot<Real>(one.u, z_bar), w_z = dot<Real>(one.w, z_bar);
      // z̄ᵀû and z̄ᵀw tanh: the cotangents of tanh and of `along`
      const Real tanh_bar = u_z + one.along * w_z - 2 * one.tanh * one.lifted * determinant_bar;
      const Real along_bar = one.tanh * w_z;
      const Real lifted_bar = slope * determinant_bar + along_bar / norm;
      const Real product_bar = lifted_bar * sigmoid(one.product) - along_bar / norm;
      const Real argument_bar = slope * tanh_bar;

      const std::span<Real> u_bar = numbers_bar.subspan(k * latent_, latent_);
      const std::span<Real> w_bar = numbers_bar.subspan((flows_ + k) * latent_, latent_);
      add_scaled<Real>(one.tanh, z_bar, u_bar);
      add_scaled<Real>(product_bar, one.w, u_bar);
      add_scaled<Real>(one.tanh * one.along, z_bar, w_bar);
      add_scaled<Real>(-2 * along_bar * one.along / norm, one.w, w_bar);
      add_scaled<Real>(product_bar, one.u, w_bar);
      add_scaled<Real>(argument_bar, z, w_bar);
      numbers_bar[2 * flows_ * latent_ + k] += argument_bar;
      add_scaled<Real>(argument_bar, one.w, z_bar);
    }
  }

 private:
  // One flow at one z; û = u + along · w.
  struct One {
    One(const PlanarFlow& all, std::span<const Real> numbers, std::size_t k,
        std::span<const Real> z)
        : u(numbers.subspan(k * all.latent_, all.latent_)),
          w(numbers.subspan((all.flows_ + k) * all.latent_, all.latent_)),
          product(dot<Real>(w, u)),
          lifted(softplus(product) - 1),
          along((lifted - product) / dot<Real>(w, w)),
          tanh(std::tanh(dot<Real>(w, z) + numbers[2 * all.flows_ * all.latent_ + k])) {}

    Real determinant() const { return 1 + (1 - tanh * tanh) * lifted; }

    const std::span<const Real> u, w;
    const Real product, lifted;  // wᵀu, wᵀû
    const Real along, tanh;
  };

  const std::size_t flows_, latent_;
};

}  // namespace ffjord
