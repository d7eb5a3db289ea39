// Sylvester flows of one row (van den Berg et al. 2018), one after the other:
//   z ← z + Q R₁ tanh(R₂ Qᵀz + b),  log|det| += Σ log|1 + (1 − tanh²) r₁ r₂|,
// with R₁, R₂ upper triangular, r₁, r₂ their diagonals, and Q (L, M) of orthonormal columns. R₁ is
// the strict upper part of D with tanh d₁ on the diagonal, R₂ that of Dᵀ with tanh d₂.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "core/posterior_plan.h"
#include "core/sylvester_basis.h"

namespace ffjord {

/// The numbers of a row are D (M, M, K), d₁, d₂ (M, K), those of Q, flow by flow, and b (M, K).
template <class Real>
class SylvesterFlow {
 public:
  SylvesterFlow(const Sylvester& kind, const PosteriorPlan& plan)
      : basis_(kind.basis),
        flows_(kind.flows),
        latent_(plan.latent),
        size_(kind.columns(plan.latent)),
        basis_numbers_(kind.basis_numbers(plan.latent)) {}

  std::size_t tape_size() const { return flows_ * latent_; }

  Real solve(std::span<const Real> numbers, std::span<Real> z, std::span<Real> tape) const {
    std::vector<Real> moved(latent_);
    Real log_det = 0;
    for (std::size_t k = 0; k < flows_; ++k) {
      keep<Real>(z, tape, k * latent_);
      with_basis(numbers, k, [&](auto& q) {
        const One one(*this, numbers, k, q, z);
        for (std::size_t i = 0; i < size_; ++i) log_det += std::log(std::abs(one.factor(i)));
        q.expand(one.upper_times(one.tanh), moved);
      });
      add_scaled<Real>(1, moved, z);
    }
    return log_det;
  }

  void pullback(std::span<const Real> numbers, std::span<const Real> tape, Real log_det_bar,
                std::span<Real> z_bar, std::span<Real> numbers_bar, std::span<Real>) const {
    for (std::size_t k = flows_; k-- > 0;) {
      const std::span<const Real> z = tape.subspan(k * latent_, latent_);
      with_basis(numbers, k, [&](auto& q) {
        const One one(*this, numbers, k, q, z);
        std::vector<Real> x_bar(size_), argument_bar(size_), y_bar(size_);
        q.pull_expand(one.upper_times(one.tanh), z_bar, x_bar);
        for (std::size_t i = 0; i < size_; ++i) {
          const Real tanh = one.tanh[i], slope = 1 - tanh * tanh;
          const Real factor_bar = log_det_bar / one.factor(i);
          Real tanh_bar =
              one.first[i] * x_bar[i] - 2 * tanh * one.first[i] * one.second[i] * factor_bar;
          for (std::size_t j = 0; j < i; ++j) tanh_bar += one.d(j, i) * x_bar[j];
          argument_bar[i] = slope * tanh_bar;
          const Real first_bar = x_bar[i] * tanh + slope * one.second[i] * factor_bar;
          const Real second_bar = argument_bar[i] * one.y[i] + slope * one.first[i] * factor_bar;
          numbers_bar[first_diagonal(i, k)] += (1 - one.first[i] * one.first[i]) * first_bar;
          numbers_bar[second_diagonal(i, k)] += (1 - one.second[i] * one.second[i]) * second_bar;
          numbers_bar[offset(i, k)] += argument_bar[i];
        }
        for (std::size_t i = 0; i < size_; ++i) {
          y_bar[i] = one.second[i] * argument_bar[i];
          for (std::size_t j = 0; j < i; ++j) y_bar[i] += one.d(i, j) * argument_bar[j];
          for (std::size_t j = i + 1; j < size_; ++j) {
            numbers_bar[triangle(i, j, k)] += x_bar[i] * one.tanh[j];
            numbers_bar[triangle(j, i, k)] += argument_bar[i] * one.y[j];
          }
        }
        q.pull_project(z, y_bar, z_bar);
        q.finish(numbers_bar.subspan(basis_at(k), basis_numbers_));
      });
    }
  }

 private:
  std::size_t triangle(std::size_t i, std::size_t j, std::size_t k) const {
    return (i * size_ + j) * flows_ + k;
  }
  std::size_t first_diagonal(std::size_t i, std::size_t k) const {
    return (size_ * size_ + i) * flows_ + k;
  }
  std::size_t second_diagonal(std::size_t i, std::size_t k) const {
    return (size_ * (size_ + 1) + i) * flows_ + k;
  }
  std::size_t basis_at(std::size_t k) const {
    return size_ * (size_ + 2) * flows_ + k * basis_numbers_;
  }
  std::size_t offset(std::size_t i, std::size_t k) const {
    return basis_at(flows_) + i * flows_ + k;
  }

  template <class Use>
  void with_basis(std::span<const Real> numbers, std::size_t k, const Use& use) const {
    const std::span<const Real> own = numbers.subspan(basis_at(k), basis_numbers_);
    switch (basis_) {
      case SylvesterBasis::Orthogonal: {
        Orthogonalised<Real> q(own, latent_, size_);
        return use(q);
      }
      case SylvesterBasis::Householder: {
        Reflections<Real> q(own, latent_);
        return use(q);
      }
      case SylvesterBasis::Triangular: {
        Permutation<Real> q(k % 2 == 1);
        return use(q);
      }
    }
  }

  // One flow at one z.
  struct One {
    template <class Basis>
    One(const SylvesterFlow& all, std::span<const Real> numbers, std::size_t k, const Basis& q,
        std::span<const Real> z)
        : all(all),
          numbers(numbers),
          k(k),
          first(all.size_),
          second(all.size_),
          y(all.size_),
          tanh(all.size_) {
      q.project(z, y);
      for (std::size_t i = 0; i < all.size_; ++i) {
        first[i] = std::tanh(numbers[all.first_diagonal(i, k)]);
        second[i] = std::tanh(numbers[all.second_diagonal(i, k)]);
        Real argument = second[i] * y[i] + numbers[all.offset(i, k)];
        for (std::size_t j = i + 1; j < all.size_; ++j) argument += d(j, i) * y[j];
        tanh[i] = std::tanh(argument);
      }
    }

    Real d(std::size_t i, std::size_t j) const { return numbers[all.triangle(i, j, k)]; }
    Real factor(std::size_t i) const { return 1 + (1 - tanh[i] * tanh[i]) * first[i] * second[i]; }
    /// R₁ x
    std::vector<Real> upper_times(const std::vector<Real>& x) const {
      std::vector<Real> product(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        product[i] = first[i] * x[i];
        for (std::size_t j = i + 1; j < x.size(); ++j) product[i] += d(i, j) * x[j];
      }
      return product;
    }

    const SylvesterFlow& all;
    const std::span<const Real> numbers;
    const std::size_t k;
    std::vector<Real> first, second, y, tanh;  // r₁, r₂, Qᵀz, tanh(R₂ y + b)
  };

  const SylvesterBasis basis_;
  const std::size_t flows_, latent_, size_, basis_numbers_;
};

}  // namespace ffjord
