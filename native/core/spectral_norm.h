// Spectral normalisation (Miyato et al. 2018) by power iteration, as the reference implementation
// has it: a net's matrices act as W/σ with σ = uᵀWv; u and v are state, and constant where σ is
// differentiated. They move with the optimizer's steps alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "core/parameters.h"
#include "core/philox.h"

namespace ffjord {

/// One W (rows, columns) with its u and v.
template <class Real>
class SpectralMatrix {
 public:
  /// Flat buffers of the flow.
  SpectralMatrix(const SpectralWeight& at, std::span<const Real> parameters,
                 std::span<Real> buffers)
      : at_(at),
        weight_(parameters.subspan(at.weight, at.size())),
        u_(buffers.subspan(at.u, at.rows)),
        v_(buffers.subspan(at.v, at.columns())) {}

  /// Normal vectors of length 1.
  void draw(std::uint64_t seed, std::uint32_t number) const {
    fill_noise<Real>(NoiseLaw::Gaussian, {seed, 2 * number, kInitialBlock, 1}, 0, u_.size(), u_);
    fill_noise<Real>(NoiseLaw::Gaussian, {seed, 2 * number + 1, kInitialBlock, 1}, 0, v_.size(),
                     v_);
    for (std::span<Real> vector : {u_, v_})
      store_normalized({vector.begin(), vector.end()}, vector);
  }

  /// v = Wᵀu / ‖Wᵀu‖, u = Wv / ‖Wv‖
  void iterate(int times) const {
    for (int i = 0; i < times; ++i) {
      std::vector<double> product(v_.size(), 0.0);
      for_each([&](std::size_t i, std::size_t row, std::size_t column) {
        product[column] += double(weight_[i]) * u_[row];
      });
      store_normalized(product, v_);
      product.assign(u_.size(), 0.0);
      for_each([&](std::size_t i, std::size_t row, std::size_t column) {
        product[row] += double(weight_[i]) * v_[column];
      });
      store_normalized(product, u_);
    }
  }

  double sigma() const {
    double sum = 0;
    for_each([&](std::size_t i, std::size_t row, std::size_t column) {
      sum += double(u_[row]) * weight_[i] * v_[column];
    });
    return sum;
  }

  /// W/σ
  void normalize(std::span<Real> result) const {
    const double factor = 1 / sigma();
    std::transform(weight_.begin(), weight_.end(), result.begin(),
                   [factor](Real w) { return static_cast<Real>(factor * w); });
  }

  /// Cotangent of W/σ → adds that of W: (bar − ⟨bar, W/σ⟩ u vᵀ) / σ.
  void pull_back(std::span<const Real> bar, std::span<Real> weight_bar) const {
    const double factor = 1 / sigma();
    double along = 0;
    for (std::size_t i = 0; i < bar.size(); ++i) along += factor * bar[i] * weight_[i];
    for_each([&](std::size_t i, std::size_t row, std::size_t column) {
      weight_bar[i] += static_cast<Real>(factor * (bar[i] - along * double(u_[row]) * v_[column]));
    });
  }

 private:
  // Calls visit(place in W, row, column) in the order of memory: (outer, rows, inner).
  template <class Visit>
  void for_each(Visit visit) const {
    std::size_t i = 0;
    for (std::size_t outer = 0; outer < at_.outer; ++outer)
      for (std::size_t row = 0; row < at_.rows; ++row)
        for (std::size_t inner = 0; inner < at_.inner; ++inner)
          visit(i++, row, outer * at_.inner + inner);
  }

  static void store_normalized(const std::vector<double>& vector, std::span<Real> result) {
    double square = 0;
    for (double value : vector) square += value * value;
    const double norm = std::max(std::sqrt(square), 1e-12);
    for (std::size_t i = 0; i < vector.size(); ++i) result[i] = static_cast<Real>(vector[i] / norm);
  }

  const SpectralWeight& at_;
  const std::span<const Real> weight_;
  const std::span<Real> u_, v_;
};

/// The weights of a flow as its blocks act: `parameters`, the spectral matrices among them divided
/// by σ; so become their copies in `buffers`.
template <class Real>
std::vector<Real> apply_spectral_norm(const ParameterLayout& layout,
                                      std::span<const Real> parameters, std::span<Real> buffers) {
  std::vector<Real> effective(parameters.begin(), parameters.end());
  for (const SpectralWeight& at : layout.spectral_weights) {
    const auto target = std::span<Real>(effective).subspan(at.weight, at.size());
    SpectralMatrix<Real>(at, parameters, buffers).normalize(target);
    std::copy(target.begin(), target.end(), buffers.begin() + at.effective);
  }
  return effective;
}

/// The gradients of the parameters for those of the effective weights.
template <class Real>
std::vector<Real> pull_back_spectral_norm(const ParameterLayout& layout,
                                          std::span<const Real> parameters, std::span<Real> buffers,
                                          std::span<const Real> effective_bar) {
  std::vector<Real> gradients(effective_bar.begin(), effective_bar.end());
  for (const SpectralWeight& at : layout.spectral_weights) {
    const auto target = std::span<Real>(gradients).subspan(at.weight, at.size());
    std::fill(target.begin(), target.end(), Real(0));
    SpectralMatrix<Real>(at, parameters, buffers)
        .pull_back(effective_bar.subspan(at.weight, at.size()), target);
  }
  return gradients;
}

}  // namespace ffjord
