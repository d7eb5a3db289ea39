#include "reference/closed_trace.h"

namespace ffjord::reference {

ClosedTrace::ClosedTrace(const std::vector<LayerAt>& at)
    : at_(at),
      first_width_(at.front().bias.size()),
      last_width_(at[at.size() - 2].bias.size()),
      dimension_(at.back().bias.size()) {
  if (at.size() == 2) {
    for (std::size_t j = 0; j < first_width_; ++j) coefficients_.push_back(through_output(j, j));
  } else {
    inner_.resize(first_width_ * last_width_);
    coefficients_.resize(inner_.size());
    for (std::size_t k = 0; k < first_width_; ++k)
      for (std::size_t j = 0; j < last_width_; ++j) {
        inner_[k * last_width_ + j] = through_output(k, j);
        const std::size_t m = j * first_width_ + k;
        coefficients_[m] = at_[1].weight[m] * inner_[k * last_width_ + j];
      }
  }
  coefficients_bar_.assign(coefficients_.size(), 0.0);
}

double ClosedTrace::through_output(std::size_t k, std::size_t j) const {
  const Vector &first = at_.front().weight, &last = at_.back().weight, &gate = at_.back().gate;
  double sum = 0;
  for (std::size_t i = 0; i < dimension_; ++i)
    sum += first[k * dimension_ + i] * gate[i] * last[i * last_width_ + j];
  return sum;
}

void ClosedTrace::pull_through_output(double bar, std::size_t k, std::size_t j,
                                      std::vector<LayerAt>& bars) const {
  const Vector &first = at_.front().weight, &last = at_.back().weight, &gate = at_.back().gate;
  for (std::size_t i = 0; i < dimension_; ++i) {
    const double w = first[k * dimension_ + i], v = last[i * last_width_ + j];
    bars.front().weight[k * dimension_ + i] += bar * gate[i] * v;
    bars.back().weight[i * last_width_ + j] += bar * gate[i] * w;
    bars.back().gate[i] += bar * w * v;
  }
}

Vector ClosedTrace::diagonal(const std::vector<Vector>& slopes, std::size_t l) const {
  Vector values(slopes[l]);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] *= at_[l].gate[i];
  return values;
}

double ClosedTrace::trace(const std::vector<Vector>& slopes) const {
  const Vector first = diagonal(slopes, 0);
  if (at_.size() == 2) return dot(first, coefficients_);
  const Vector last = diagonal(slopes, 1);
  double sum = 0;
  for (std::size_t j = 0; j < last_width_; ++j)
    sum += last[j] * dot(coefficients_.data() + j * first_width_, first.data(), first_width_);
  return sum;
}

std::vector<Vector> ClosedTrace::pull_row(double trace_bar, const std::vector<Vector>& slopes,
                                          std::vector<LayerAt>& bars) {
  // First the cotangents of the diagonals d_l …
  std::vector<Vector> result;
  const Vector first = diagonal(slopes, 0);
  if (at_.size() == 2) {
    Vector first_bar(first_width_);
    add_scaled(trace_bar, coefficients_, first_bar);
    add_scaled(trace_bar, first, coefficients_bar_);
    result = {first_bar};
  } else {
    const Vector last = diagonal(slopes, 1);
    Vector first_bar(first_width_), last_bar(last_width_);
    for (std::size_t j = 0; j < last_width_; ++j) {
      const double* row = coefficients_.data() + j * first_width_;
      last_bar[j] = trace_bar * dot(row, first.data(), first_width_);
      add_scaled(trace_bar * last[j], row, first_bar.data(), first_width_);
      add_scaled(trace_bar * last[j], first.data(), coefficients_bar_.data() + j * first_width_,
                 first_width_);
    }
    result = {first_bar, last_bar};
  }
  // … then those of their factors σ' and g.
  for (std::size_t l = 0; l < result.size(); ++l)
    for (std::size_t i = 0; i < result[l].size(); ++i) {
      bars[l].gate[i] += result[l][i] * slopes[l][i];
      result[l][i] *= at_[l].gate[i];
    }
  return result;
}

void ClosedTrace::pull_coefficients(std::vector<LayerAt>& bars) const {
  if (at_.size() == 2) {
    for (std::size_t j = 0; j < first_width_; ++j)
      pull_through_output(coefficients_bar_[j], j, j, bars);
    return;
  }
  for (std::size_t j = 0; j < last_width_; ++j)
    for (std::size_t k = 0; k < first_width_; ++k) {
      const std::size_t m = j * first_width_ + k;
      bars[1].weight[m] += coefficients_bar_[m] * inner_[k * last_width_ + j];
      pull_through_output(coefficients_bar_[m] * at_[1].weight[m], k, j, bars);
    }
}

}  // namespace ffjord::reference
