// Q (L, M) of a Sylvester flow: orthonormal columns made of a row's numbers, or fixed. `expand` is
// Q x, `project` Qᵀ z; the pullbacks take what went in and the cotangent of what came out.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "core/small_vectors.h"

namespace ffjord {

/// The identity, or the reversal of the elements.
template <class Real>
class Permutation {
 public:
  explicit Permutation(bool reverses) : reverses_(reverses) {}

  void expand(std::span<const Real> x, std::span<Real> z) const {
    for (std::size_t i = 0; i < x.size(); ++i) z[i] = x[reverses_ ? x.size() - 1 - i : i];
  }
  void project(std::span<const Real> z, std::span<Real> x) const { expand(z, x); }
  void pull_expand(std::span<const Real>, std::span<const Real> z_bar, std::span<Real> x_bar) {
    expand(z_bar, x_bar);
  }
  /// Adds to z̄.
  void pull_project(std::span<const Real>, std::span<const Real> x_bar, std::span<Real> z_bar) {
    for (std::size_t i = 0; i < x_bar.size(); ++i)
      z_bar[reverses_ ? x_bar.size() - 1 - i : i] += x_bar[i];
  }
  void finish(std::span<Real>) const {}

 private:
  bool reverses_;
};

/// A product of reflections H = I − 2 v vᵀ / ‖v‖²: Q = H_{J−1} … H_1 H_0.
template <class Real>
class Reflections {
 public:
  /// `vectors` (J, L).
  Reflections(std::span<const Real> vectors, std::size_t size)
      : vectors_(vectors), size_(size), bars_(vectors.size()) {}

  void expand(std::span<const Real> x, std::span<Real> z) const {
    std::copy(x.begin(), x.end(), z.begin());
    for (std::size_t j = 0; j < count(); ++j) reflect(j, z);
  }
  void project(std::span<const Real> z, std::span<Real> x) const {
    std::copy(z.begin(), z.end(), x.begin());
    for (std::size_t j = count(); j-- > 0;) reflect(j, x);
  }
  void pull_expand(std::span<const Real> x, std::span<const Real> z_bar, std::span<Real> x_bar) {
    std::copy(z_bar.begin(), z_bar.end(), x_bar.begin());
    std::vector<Real> z(x.begin(), x.end());
    for (std::size_t j = 0; j < count(); ++j) reflect(j, z);
    for (std::size_t j = count(); j-- > 0;) pull(j, z, x_bar);
  }
  void pull_project(std::span<const Real> z, std::span<const Real> x_bar, std::span<Real> z_bar) {
    std::vector<Real> x(z.size()), bar(x_bar.begin(), x_bar.end());
    project(z, x);
    for (std::size_t j = 0; j < count(); ++j) pull(j, x, bar);
    add_scaled<Real>(1, bar, z_bar);
  }
  /// Adds the cotangents of the vectors.
  void finish(std::span<Real> vectors_bar) const { add_scaled<Real>(1, bars_, vectors_bar); }

 private:
  std::size_t count() const { return vectors_.size() / size_; }
  std::span<const Real> vector(std::size_t j) const { return vectors_.subspan(j * size_, size_); }

  void reflect(std::size_t j, std::span<Real> x) const {
    const auto v = vector(j);
    add_scaled<Real>(-2 * dot<Real>(v, x) / dot<Real>(v, v), v, x);
  }
  /// `x` is what a reflection left and becomes what it took, as `bar` does.
  void pull(std::size_t j, std::span<Real> x, std::span<Real> bar) {
    reflect(j, x);
    const auto v = vector(j);
    const auto v_bar = std::span<Real>(bars_).subspan(j * size_, size_);
    const Real norm = dot<Real>(v, v), v_x = dot<Real>(v, x), v_bar_x = dot<Real>(v, bar);
    add_scaled<Real>(-2 * v_x / norm, bar, v_bar);
    add_scaled<Real>(-2 * v_bar_x / norm, x, v_bar);
    add_scaled<Real>(4 * v_x * v_bar_x / (norm * norm), v, v_bar);
    reflect(j, bar);
  }

  const std::span<const Real> vectors_;
  const std::size_t size_;
  std::vector<Real> bars_;
};

/// The orthonormal matrix nearest to a given one, by A ← A (I + ½ (I − AᵀA)) from A / ‖A‖ on, which
/// converges quadratically (Björck and Bowie 1971).
template <class Real>
class Orthogonalised {
 public:
  /// `matrix` (L, M), row-major.
  Orthogonalised(std::span<const Real> matrix, std::size_t rows, std::size_t columns)
      : rows_(rows), columns_(columns), norm_(std::sqrt(dot<Real>(matrix, matrix))) {
    Matrix a(matrix.begin(), matrix.end());
    for (Real& value : a) value /= norm_;
    // The step behind an error of √ε is the last that changes anything.
    const Real enough = std::sqrt(std::numeric_limits<Real>::epsilon());
    for (int step = 0; step < kMostSteps; ++step) {
      const Matrix error = error_of(a);
      iterates_.push_back(a);
      a = times(a, half_step(error));
      if (dot<Real>(error, error) <= enough * enough) break;
    }
    q_ = std::move(a);
    q_bar_.assign(q_.size(), 0);
  }

  void expand(std::span<const Real> x, std::span<Real> z) const {
    for (std::size_t i = 0; i < rows_; ++i) z[i] = dot<Real>(row(q_, i), x);
  }
  void project(std::span<const Real> z, std::span<Real> x) const {
    std::fill(x.begin(), x.end(), Real(0));
    for (std::size_t i = 0; i < rows_; ++i) add_scaled<Real>(z[i], row(q_, i), x);
  }
  void pull_expand(std::span<const Real> x, std::span<const Real> z_bar, std::span<Real> x_bar) {
    project(z_bar, x_bar);
    add_outer(z_bar, x);
  }
  void pull_project(std::span<const Real> z, std::span<const Real> x_bar, std::span<Real> z_bar) {
    for (std::size_t i = 0; i < rows_; ++i) z_bar[i] += dot<Real>(row(q_, i), x_bar);
    add_outer(z, x_bar);
  }
  /// Adds the cotangent of the matrix.
  void finish(std::span<Real> matrix_bar) const {
    Matrix bar = q_bar_;
    for (std::size_t step = iterates_.size(); step-- > 0;) {
      const Matrix& a = iterates_[step];
      // A' = A (I + ½ E), E = I − AᵀA: Ē = ½ AᵀĀ', Ā = Ā' (I + ½ E) − A (Ē + Ēᵀ)
      Matrix product(columns_ * columns_, 0);
      for (std::size_t i = 0; i < rows_; ++i)
        for (std::size_t m = 0; m < columns_; ++m)
          add_scaled<Real>(a[i * columns_ + m], row(bar, i), row(product, m));
      Matrix both(product.size());
      for (std::size_t m = 0; m < columns_; ++m)
        for (std::size_t n = 0; n < columns_; ++n)
          both[m * columns_ + n] = -(product[m * columns_ + n] + product[n * columns_ + m]) / 2;
      bar = times(bar, half_step(error_of(a)));
      add_scaled<Real>(1, times(a, both), bar);
    }
    // A = matrix / norm
    const Matrix& a = iterates_.front();
    const Real along = dot<Real>(a, bar);
    add_scaled<Real>(1 / norm_, bar, matrix_bar);
    add_scaled<Real>(-along / norm_, a, matrix_bar);
  }

 private:
  static constexpr int kMostSteps = 100;
  using Matrix = std::vector<Real>;

  std::span<const Real> row(const Matrix& a, std::size_t i) const {
    return std::span(a).subspan(i * columns_, columns_);
  }
  std::span<Real> row(Matrix& a, std::size_t i) const {
    return std::span(a).subspan(i * columns_, columns_);
  }
  /// I − AᵀA
  Matrix error_of(const Matrix& a) const {
    Matrix error(columns_ * columns_, 0);
    for (std::size_t i = 0; i < rows_; ++i)
      for (std::size_t m = 0; m < columns_; ++m)
        add_scaled<Real>(-a[i * columns_ + m], row(a, i), row(error, m));
    for (std::size_t m = 0; m < columns_; ++m) error[m * columns_ + m] += 1;
    return error;
  }
  /// I + ½ E
  Matrix half_step(Matrix error) const {
    for (Real& value : error) value /= 2;
    for (std::size_t m = 0; m < columns_; ++m) error[m * columns_ + m] += 1;
    return error;
  }
  /// (L, M) times (M, M)
  Matrix times(const Matrix& a, const Matrix& b) const {
    Matrix c(a.size(), 0);
    for (std::size_t i = 0; i < rows_; ++i)
      for (std::size_t m = 0; m < columns_; ++m)
        add_scaled<Real>(a[i * columns_ + m], row(b, m), row(c, i));
    return c;
  }
  void add_outer(std::span<const Real> z, std::span<const Real> x) {
    for (std::size_t i = 0; i < rows_; ++i) add_scaled<Real>(z[i], x, row(q_bar_, i));
  }

  const std::size_t rows_, columns_;
  const Real norm_;
  std::vector<Matrix> iterates_;
  Matrix q_, q_bar_;
};

}  // namespace ffjord
