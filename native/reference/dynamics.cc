#include "reference/dynamics.h"

#include <optional>

#include "reference/bottleneck.h"
#include "reference/closed_trace.h"
#include "reference/regularisers.h"

namespace ffjord::reference {

Dynamics::Dynamics(const BlockContext<double>& context)
    : net_(context.offsets.net),
      network_(net_, context.parameters),
      residual_(net_.residual),
      dimension_(net_.size_in()),
      parameter_count_(context.parameters.size()),
      context_size_(net_.context_size) {
  for (const Branch& branch : net_.branches) branches_.emplace_back(net_, branch);
}

Columns Dynamics::columns_of(const DynamicsPlan& plan, const Point& point, std::size_t row,
                             bool tangents) const {
  const View z = point.z.subspan(row * dimension_, dimension_);
  Columns columns = {Vector(z.begin(), z.end())};
  const Divergence divergence = plan.trace.divergence;
  if (!tangents || plan.trace.closed() || divergence == Divergence::Bottleneck ||
      divergence == Divergence::Lattices)
    return columns;
  if (divergence != Divergence::UnitTangents) {
    for (Vector& eps : noise_of(plan.trace, point, row)) columns.push_back(std::move(eps));
    return columns;
  }
  for (std::size_t k = 0; k < dimension_; ++k) {
    columns.emplace_back(dimension_);
    columns.back()[k] = 1;
  }
  return columns;
}

Columns Dynamics::noise_of(const TracePlan& plan, const Point& point, std::size_t row) const {
  const std::size_t size = plan.noise_size(dimension_);
  Columns columns;
  for (int k = 0; k < plan.probes; ++k) {
    const View eps = point.eps.subspan((k * point.batch + row) * size, size);
    columns.emplace_back(eps.begin(), eps.end());
  }
  return columns;
}

void Dynamics::subtract_input(const Columns& input, Columns& output) const {
  if (!residual_) return;
  for (std::size_t k = 0; k < output.size(); ++k) add_scaled(-1, input[k], output[k]);
}

Columns Dynamics::push(const std::vector<LayerAt>& at, const Columns& input, bool lattices,
                       RowTape& tape, double& divergence) const {
  Columns field(input.size(), Vector(dimension_));
  for (const BranchView& branch : branches_) {
    Columns columns = branch.of(input, input.size());
    if (lattices) branch.append_probes(1, columns);
    network_.push(at, std::move(columns), tape, branch.range);
    if (lattices) divergence += branch.divergence(tape.output);
    for (std::size_t k = 0; k < field.size(); ++k) branch.add(tape.output[k], field[k]);
  }
  return field;
}

std::vector<Vector> Dynamics::hidden_slopes(const std::vector<LayerAt>& at,
                                            const RowTape& tape) const {
  std::vector<Vector> slopes;
  for (std::size_t l = 0; l + 1 < network_.depth(); ++l)
    slopes.push_back(network_.slopes(at, tape, l));
  return slopes;
}

void Dynamics::evaluate(const DynamicsPlan& plan, const Point& point,
                        const Rates<Target>& rates) const {
  const bool with_divergence = !rates.divergence.empty();
  const bool with_regularisers = !rates.regularisers.empty();
  const bool vjp = plan.trace.divergence == Divergence::Vjp;
  const bool tangents = (with_divergence && !vjp) ||
                        (with_regularisers && plan.regularisers.needing(Derivatives::Tangents));
  const double weight = tangent_weight(plan.trace);
  std::vector<LayerAt> at;
  std::optional<ClosedTrace> closed;

  RowTape tape;
  for (std::size_t row = 0; row < point.batch; ++row) {
    if (row == 0 || context_size_ > 0) {
      at = network_.at(point.t, context_of(point, row));
      if (with_divergence && plan.trace.closed()) closed.emplace(at);
    }
    const Columns input = columns_of(plan, point, row, tangents);
    double divergence = residual_ ? -static_cast<double>(dimension_) : 0;
    Columns field = push(at, input, by_lattices(plan, with_divergence), tape, divergence);

    if (with_divergence) {
      if (closed) {
        divergence += closed->trace(hidden_slopes(at, tape));
      } else if (vjp) {
        for (const Vector& eps : noise_of(plan.trace, point, row))
          for (const BranchView& branch : branches_) {
            const Vector view = branch.of(eps);
            divergence +=
                weight * dot(network_.vector_jacobian(at, tape, view, branch.range), view);
          }
      } else if (plan.trace.divergence == Divergence::Bottleneck) {
        const Columns eps = noise_of(plan.trace, point, row);
        divergence += Bottleneck(network_, at, plan.trace, tape, eps).divergence();
      } else {
        for (std::size_t k = 1; k < input.size(); ++k)
          divergence += weight * dot(input[k], field[k]);
      }
      rates.divergence[row] = divergence;
    }

    subtract_input(input, field);
    for (std::size_t i = 0; i < dimension_; ++i) rates.f[row * dimension_ + i] = field[0][i];

    if (!with_regularisers) continue;
    double* integrand = &rates.regularisers[row * plan.regularisers.count()];
    for (const Regulariser* one : plan.regularisers)
      *integrand++ = one->value(row_sum(one->sum, field, weight), dimension_);
  }
}

double Dynamics::pullback(const DynamicsPlan& plan, const Point& point, const Rates<View>& bars,
                          Target z_bar, Target gradients, Target context_bar) const {
  Vector unwanted, unwanted_context;
  if (gradients.empty()) {
    unwanted.resize(parameter_count_);
    gradients = unwanted;
  }
  if (context_bar.empty()) {
    unwanted_context.resize(point.context.size());
    context_bar = unwanted_context;
  }
  const bool with_divergence = !bars.divergence.empty();
  const bool with_regularisers = !bars.regularisers.empty();
  const bool tangents =
      with_divergence || (with_regularisers && plan.regularisers.needing(Derivatives::Tangents));
  const double weight = tangent_weight(plan.trace);
  std::vector<LayerAt> at, at_bars;
  std::optional<ClosedTrace> closed;
  double t_bar = 0;

  RowTape tape;
  for (std::size_t row = 0; row < point.batch; ++row) {
    if (row == 0 || context_size_ > 0) {
      at = network_.at(point.t, context_of(point, row));
      at_bars.clear();
      for (const LayerAt& layer : at) at_bars.push_back(layer.zeros());
      if (with_divergence && plan.trace.closed()) closed.emplace(at);
    }
    // The VJP form of the divergence is the same function as the tangent form; so is its pullback.
    const Columns input = columns_of(plan, point, row, tangents);
    const bool lattices = by_lattices(plan, with_divergence);
    double divergence = 0;
    Columns field = push(at, input, lattices, tape, divergence);
    subtract_input(input, field);
    const double divergence_bar = with_divergence ? bars.divergence[row] : 0;

    const View f_bar = bars.f.subspan(row * dimension_, dimension_);
    Columns field_bars = {Vector(f_bar.begin(), f_bar.end())};
    for (std::size_t k = 1; k < input.size(); ++k) {
      field_bars.emplace_back(dimension_);
      add_scaled(weight * divergence_bar, input[k], field_bars[k]);
    }
    if (with_regularisers) {
      const double* integrand_bar = &bars.regularisers[row * plan.regularisers.count()];
      for (const Regulariser* one : plan.regularisers) {
        const double sum = row_sum(one->sum, field, weight);
        pull_row_sum(one->sum, field, weight, *integrand_bar++ * one->derivative(sum, dimension_),
                     field_bars);
      }
    }

    std::vector<Vector> slope_bars;
    if (closed) slope_bars = closed->pull_row(divergence_bar, hidden_slopes(at, tape), at_bars);
    const Target row_bar = z_bar.subspan(row * dimension_, dimension_);
    if (residual_) add_scaled(-1, field_bars[0], row_bar);
    if (with_divergence && plan.trace.divergence == Divergence::Bottleneck) {
      const Columns eps = noise_of(plan.trace, point, row);
      const Bottleneck bottleneck(network_, at, plan.trace, tape, eps);
      add_scaled(1, bottleneck.pull(divergence_bar, at_bars), row_bar);
    }
    for (const BranchView& branch : branches_) {
      Columns bars_of_branch = branch.of(field_bars, field_bars.size());
      if (lattices) branch.append_probes(divergence_bar, bars_of_branch);
      const Columns through =
          network_.pull(at, tape, std::move(bars_of_branch), slope_bars, at_bars, branch.range);
      branch.add(through.front(), row_bar);
    }

    if (row + 1 < point.batch && context_size_ == 0) continue;
    if (closed) closed->pull_coefficients(at_bars);
    t_bar += network_.pullback(point.t, context_of(point, row), at_bars, gradients,
                               context_bar.subspan(row * context_size_, context_size_));
  }
  return t_bar;
}

}  // namespace ffjord::reference
