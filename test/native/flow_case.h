// What the C++ check programs share: a flow with its inputs, its loss and gradients, and a report.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/errors.h"

namespace checks {

using Vector = std::vector<double>;

/// Counts what failed; `main` returns failures() > 0.
class Report {
 public:
  /// Notes the largest error of what is checked since the last `finish`, relative to its tolerance.
  void expect(const std::string& what, double error, double tolerance) {
    ++checks_;
    const double ratio = error / tolerance;
    if (!(ratio <= worst_)) {
      worst_ = ratio;
      worst_what_ = what;
      worst_error_ = error;
    }
    if (error <= tolerance) return;
    ++failures_;
    std::printf("  FAILED %s: error %.3g, tolerance %.1g\n", what.c_str(), error, tolerance);
  }
  void expect(const std::string& what, bool holds) { expect(what, holds ? 0 : 1, 0.5); }

  /// Prints one line for all checks since the last one.
  void finish(const std::string& title) {
    std::printf("%-42s %4d checks, worst %s %.2g (%.2g of its tolerance)\n", title.c_str(), checks_,
                worst_what_.c_str(), worst_error_, worst_);
    checks_ = 0;
    worst_ = -1;
  }
  int failures() const { return failures_; }

 private:
  int checks_ = 0, failures_ = 0;
  double worst_ = -1, worst_error_ = 0;
  std::string worst_what_;
};

/// The message of the Error that `call` throws; empty if it throws none.
inline std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const ffjord::Error& error) {
    return error.what();
  }
  return "";
}

inline double largest(const Vector& values) {
  double result = 0;
  for (double value : values) result = std::max(result, std::abs(value));
  return result;
}

/// Largest difference over the largest entry of `expected`, or over `floor` where that is larger.
inline double relative_error(const Vector& actual, const Vector& expected, double floor) {
  if (actual.size() != expected.size()) return HUGE_VAL;
  double difference = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double one = std::abs(actual[i] - expected[i]);
    if (!(one <= difference)) difference = one;
  }
  return difference / std::max(floor, largest(expected));
}

inline Vector normals(std::size_t count, std::mt19937_64& generator, double scale = 1) {
  std::normal_distribution<double> law(0, scale);
  Vector values(count);
  for (double& value : values) value = law(generator);
  return values;
}

inline double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// What came out of a solve.
struct Solution {
  Vector z, delta_logp, regularisers;
  ffjord::SolveResult result;
};

inline Solution solve(ffjord::Flow& flow, const ffjord::SolveRequest& request) {
  Solution solution;
  solution.z.resize(request.rows.given.size());
  solution.delta_logp.resize(request.batch);
  solution.regularisers.resize(request.batch * request.settings.regularisers.count());
  ffjord::SolveOutput output;
  output.z = solution.z;
  output.delta_logp = solution.delta_logp;
  output.regularisers = solution.regularisers;
  solution.result = flow.solve(request, output);
  return solution;
}

/// Cotangents of a solution's three parts → those of its rows and of all parameters.
struct Gradient {
  Vector rows, parameters;
  ffjord::SolveStatistics statistics;
};

inline Gradient pull_back(ffjord::Flow& flow, const Solution& solution, const Vector& z_bar,
                          const Vector& delta_logp_bar, const Vector& regularisers_bar) {
  Gradient gradient;
  gradient.rows.resize(solution.z.size());
  gradient.parameters.resize(flow.layout().parameter_count);
  flow.zero_gradients();
  ffjord::PullbackRequest request;
  request.z_bar = z_bar;
  request.delta_logp_bar = delta_logp_bar;
  request.regularisers_bar = regularisers_bar;
  request.rows_bar = gradient.rows;
  gradient.statistics = flow.pullback(*solution.result.tape, request);
  flow.read(ffjord::Buffer::Gradients, gradient.parameters);
  return gradient;
}

}  // namespace checks
