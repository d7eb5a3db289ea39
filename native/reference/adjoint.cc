#include "reference/adjoint.h"

#include <algorithm>

namespace ffjord::reference {

namespace {

// The augmented system on [z | Δlogp | λ | c̄ | θ̄]. The cotangents of Δlogp and of the regularisers
// are constant, as nothing depends on these; θ̄ holds the net's tensors one after the other.
class AugmentedSystem {
 public:
  AugmentedSystem(const RowSystem& rows, View y_bar, bool with_parameters, AdjointNorm norm)
      : rows_(rows),
        y_bar_(y_bar.begin(), y_bar.end()),
        forward_size_(rows.z_size() + rows.batch()),
        norm_(norm) {
    if (with_parameters) parameters_ = rows.dynamics().parameters();
  }

  std::size_t adjoint_offset() const { return forward_size_; }
  std::size_t context_offset() const { return forward_size_ + rows_.z_size(); }
  std::size_t parameters_offset() const { return context_offset() + rows_.context_size(); }
  std::size_t size() const {
    std::size_t size = parameters_offset();
    for (const ParameterRange& range : parameters_) size += range.size;
    return size;
  }

  Vector start(View end) const {
    Vector state(size());
    std::copy_n(end.begin(), forward_size_, state.begin());
    std::copy_n(y_bar_.begin(), rows_.z_size(), state.begin() + adjoint_offset());
    return state;
  }

  void derivative(double t, View state, Target rate) const {
    Vector forward(rows_.size());
    rows_.derivative(t, state, forward);
    std::fill(rate.begin(), rate.end(), 0.0);
    std::copy_n(forward.begin(), forward_size_, rate.begin());

    Vector bar = y_bar_;
    std::copy_n(state.begin() + adjoint_offset(), rows_.z_size(), bar.begin());
    Vector gradients(parameters_.empty() ? 0 : rows_.dynamics().parameter_count());
    rows_.pullback(t, state, bar, rate.subspan(adjoint_offset(), rows_.z_size()), gradients,
                   rate.subspan(context_offset(), rows_.context_size()));
    double* parameter_rate = rate.data() + parameters_offset();
    for (const ParameterRange& range : parameters_)
      parameter_rate = std::copy_n(gradients.begin() + range.offset, range.size, parameter_rate);
    for (double& value : rate.subspan(adjoint_offset())) value = -value;
  }

  std::vector<Tensor> tensors() const {
    const std::size_t batch = rows_.batch(), dimension = rows_.dynamics().dimension();
    std::vector<Tensor> tensors = {{0, batch, dimension, true},
                                   {rows_.z_size(), batch, 1, true},
                                   {adjoint_offset(), batch, dimension, true}};
    if (rows_.context_size() > 0)
      tensors.push_back(
          {context_offset(), batch, rows_.context_size() / batch, norm_ == AdjointNorm::Full});
    std::size_t offset = parameters_offset();
    for (const ParameterRange& range : parameters_) {
      tensors.push_back({offset, 1, range.size, norm_ == AdjointNorm::Full});
      offset += range.size;
    }
    return tensors;
  }

  void add_context(View state, Target context_bar) const {
    add_scaled(1, state.data() + context_offset(), context_bar.data(), context_bar.size());
  }

  void add_gradients(View state, Target gradients) const {
    const double* value = state.data() + parameters_offset();
    for (const ParameterRange& range : parameters_) {
      add_scaled(1, value, gradients.data() + range.offset, range.size);
      value += range.size;
    }
  }

 private:
  const RowSystem& rows_;
  const Vector y_bar_;
  const std::size_t forward_size_;
  const AdjointNorm norm_;
  std::vector<ParameterRange> parameters_;
};

}  // namespace

double pull_adjoint(const RowSystem& rows, const SolverOptions& options,
                    const AdjointProblem& problem, const std::stop_token& stop, Target y_bar,
                    Target gradients, Target context_bar, SolveStatistics& statistics) {
  const AugmentedSystem augmented(rows, y_bar, !gradients.empty(), problem.norm);
  Vector state = augmented.start(problem.end);

  // What the end time moves: the end state of a forward solve by F(T), and the start of a reverse
  // one by −F(T).
  const auto cotangent_of_time = [&](double t, View at) {
    if (gradients.empty()) return 0.0;
    Vector rate(rows.size());
    rows.derivative(t, at, rate);
    statistics.evaluations += 1;
    return dot(y_bar, rate);
  };
  const bool reverse = problem.t1 < problem.t0;
  double end_time_bar = reverse ? 0 : cotangent_of_time(problem.t1, state);

  const System system{augmented.size(), rows.batch(), augmented.tensors(),
                      [&](double t, View y, Target rate) { augmented.derivative(t, y, rate); },
                      problem.sums};
  integrate(system, options, stop, problem.t1, problem.t0, state, {}, statistics);

  std::copy_n(state.begin() + augmented.adjoint_offset(), rows.z_size(), y_bar.begin());
  augmented.add_gradients(state, gradients);
  augmented.add_context(state, context_bar);
  if (reverse) end_time_bar = -cotangent_of_time(problem.t0, state);
  return end_time_bar;
}

}  // namespace ffjord::reference
