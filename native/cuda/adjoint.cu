#include "cuda/adjoint.h"
#include "cuda/adjoint_gradients.h"
#include "cuda/row_states.h"

namespace ffjord::cuda {
namespace {

// States [z | λ | −Δlogp | r̄], the last the cotangent of a context's terms, in the norm where the
// weights' is. The cotangents of Δlogp and of the regularisers are constant, as nothing depends on
// these.
class AdjointSystem final : public RowSystem {
 public:
  AdjointSystem(const BlockCall& call, const Groups& groups, const float* quadrature_bars,
                AdjointGradients& gradients)
      : call_(call), groups_(groups), quadrature_bars_(quadrature_bars), gradients_(gradients) {}

  static StateShape shape_of(const BlockCall& call) {
    const int dimension = call.dimension(), terms = call.terms_bar ? call.net.context().terms() : 0;
    const bool in_norm = call.plan.gradient.norm == AdjointNorm::Full;
    return {
        2 * dimension + 1 + terms, 2 * dimension, {dimension, dimension, 1, in_norm ? terms : 0}};
  }

  void evaluate(int stage, double c, const float* point, int stride, float* rates) override {
    const int dimension = call_.dimension(), channels = shape_of(call_).channels;
    const FieldPoint at = call_.point(groups_, c, point, stride);
    FieldColumns<float> columns{rates, channels, rates + 2 * dimension, nullptr, channels};
    Evaluation& evaluation = call_.workspace.evaluation(0);
    call_.net.evaluate(evaluation, nullptr, call_.form(), at, columns, TapeUse::Keep);
    FieldTargets targets;
    targets.z_bar = rates + dimension;
    targets.z_bar_stride = channels;
    targets.sign = -1;
    targets.gradient = gradients_.target(stage);
    if (const int terms = channels - (2 * dimension + 1); terms > 0) {
      targets.terms = {rates + 2 * dimension + 1, channels, -1};
      check(cudaMemset2DAsync(targets.terms.data, channels * sizeof(float), 0,
                              terms * sizeof(float), at.batch, call_.stream.get()),
            "clearing cotangents");
    }
    const int quadratures = 1 + call_.regularisers();
    call_.net.pullback(evaluation, call_.workspace.scratch(), at,
                       {point + dimension, stride, quadrature_bars_,
                        call_.regularisers() > 0 ? quadrature_bars_ + 1 : nullptr, quadratures},
                       targets);
  }

  const double* start_norm() override { return gradients_.start_norm(); }
  const double* change_norm() override { return gradients_.change_norm(); }
  const double* error_norm() override { return gradients_.error_norm(); }
  void conclude() override { gradients_.conclude(); }

 private:
  const BlockCall& call_;
  const Groups groups_;
  const float* const quadrature_bars_;  // (B, 1 + R): −Δlogp̄, r̄
  AdjointGradients& gradients_;
};

}  // namespace

double pull_adjoint(const BlockCall& call, const SolveTape& tape, const BlockRows<float>& rows,
                    float* gradient, SolveStatistics& statistics) {
  const std::size_t batch = rows.count, dimension = call.dimension();
  const std::size_t quadratures = 1 + call.regularisers(), channels = call.channels();
  const StateShape shape = AdjointSystem::shape_of(call);
  const std::size_t terms = shape.channels - (2 * dimension + 1);
  const SolverOptions& solver = call.plan.solver;
  JointSolve solve(solver, call.grouping, shape, false, call.stream);
  // Copies columns of (B, …) arrays of the device.
  const auto copy = [&](float* target, std::size_t target_stride, const float* source,
                        std::size_t source_stride, std::size_t columns) {
    copy_columns(target, target_stride, source, source_stride, columns, batch, call.stream);
  };
  DeviceArray<float> packed(batch * channels, call.stream),
      quadrature_bars(batch * quadratures, call.stream);
  pack_states(row_arrays(call, rows), packed.data(), call.stream);
  copy(quadrature_bars.data(), quadratures, packed.data() + dimension, channels, quadratures);
  check(
      cudaMemsetAsync(solve.state(), 0, batch * shape.channels * sizeof(float), call.stream.get()),
      "clearing states");
  copy(solve.state(), shape.channels, tape.end.data(), channels, dimension);
  copy(solve.state() + dimension, shape.channels, packed.data(), channels, dimension);
  copy(solve.state() + 2 * dimension, shape.channels, tape.end.data() + dimension, channels, 1);
  AdjointGradients gradients(solver, call.net.tensor_sizes(), call.plan.gradient.norm,
                             solve.groups(), gradient, call.stream);
  AdjointSystem system(call, solve.groups(), quadrature_bars.data(), gradients);

  // λᵀf − Δlogp̄ div f + r̄ᵀρ over the rows: what an end time moved by one adds to the objective. The
  // end state of a forward solve moves with T by its rates there, the start of a reverse one by the
  // negative.
  const auto end_time_bar = [&] {
    if (!gradient) return 0.0;
    place_groups(solve.groups(), call.end_time, call.stream);
    DeviceArray<float> rates(batch * channels, call.stream);
    call.net.evaluate(call.workspace.evaluation(0), &call.workspace.scratch(), call.form(),
                      call.point(solve.groups(), 0, solve.state(), shape.channels),
                      call.columns(rates.data()), TapeUse::Pass);
    std::vector<float> values(rates.size()), bars(quadrature_bars.size()), at(batch * dimension);
    DeviceArray<float> lambda(at.size(), call.stream);
    copy(lambda.data(), dimension, solve.state() + dimension, shape.channels, dimension);
    rates.copy_out(values, call.stream);
    quadrature_bars.copy_out(bars, call.stream);
    lambda.copy_out(at, call.stream);
    call.stream.synchronize();
    double sum = 0;
    for (std::size_t row = 0; row < batch; ++row) {
      for (std::size_t i = 0; i < dimension; ++i)
        sum += double(at[row * dimension + i]) * values[row * channels + i];
      for (std::size_t i = 0; i < quadratures; ++i)
        sum += double(bars[row * quadratures + i]) * values[row * channels + dimension + i];
    }
    statistics.evaluations += 1;
    return call.reverse ? -sum : sum;
  };

  double bar = call.reverse ? 0 : end_time_bar();
  solve.run(system, {call.t1(), call.t0(), call.plan.stop});
  gradients.add_up();
  if (call.reverse) bar = end_time_bar();
  statistics.add(solve.outcome().statistics());
  copy(rows.z.data(), dimension, solve.state() + dimension, shape.channels, dimension);
  copy(call.terms_bar, terms, solve.state() + 2 * dimension + 1, shape.channels, terms);
  return bar;
}

}  // namespace ffjord::cuda
