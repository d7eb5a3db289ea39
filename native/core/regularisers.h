// Integrals along the paths that ride with a solve, outside its error norm: a table of integrands.
// A new one is a row of the table, where its sum is known; engines compute the sums.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace ffjord {

/// What is summed over one row's field f (D) and its tangents J ε_k, J = ∂f/∂z.
enum class RowSum {
  AbsoluteVelocity,  ///< Σ_i |f_i|
  SquaredVelocity,   ///< ‖f‖²
  SquaredTangents,  ///< w Σ_k ‖J ε_k‖²: E = ‖J‖_F² for probes (w = 1/K), exact for e_i (w = 1)
  SquaredDiagonal,     ///< Σ_i J_ii²
  SquaredOffDiagonal,  ///< Σ_(i≠j) J_ij²
  SquaredDirectional,  ///< ‖fᵀJ‖²
};

/// What the sum needs beside f. Tangents: those of the divergence, probes or unit vectors.
/// Jacobian: the D unit vectors.
enum class Derivatives { None, Tangents, Jacobian };

/// A row's integrand is scale(D) · sum, or scale(D) · √sum.
struct Regulariser {
  std::string_view name;
  RowSum sum;
  Derivatives needs;
  bool root;
  double (*scale)(double dimension);

  double value(double sum, double dimension) const;
  /// By the sum; 0 where a root's sum is 0.
  double derivative(double sum, double dimension) const;
};

/// Rows of the table.
inline constexpr std::size_t kRegularisers = 8;

/// RNODE's `kinetic` and `jacobian` (Finlay et al. 2020, eq. 9 and 10), then those of the reference
/// implementation by its names, of which JdiagFrobint and JoffdiagFrobint take the true diagonal.
std::span<const Regulariser, kRegularisers> regulariser_table();

/// A choice from the table, in its order. A solve has one channel for each.
class Regularisers {
 public:
  Regularisers() = default;
  /// Throws Error(InvalidArgument) on an unknown name.
  Regularisers(std::initializer_list<std::string_view> names);
  void add(std::string_view name);

  auto begin() const { return chosen_.begin(); }  ///< of const Regulariser*
  auto end() const { return chosen_.end(); }
  int count() const { return static_cast<int>(chosen_.size()); }
  bool operator==(const Regularisers&) const = default;

  /// The first that needs so much, or null.
  const Regulariser* needing(Derivatives derivatives) const;

 private:
  std::vector<const Regulariser*> chosen_;
};

}  // namespace ffjord
