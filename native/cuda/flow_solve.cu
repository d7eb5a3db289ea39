#include <optional>
#include <utility>

#include "cuda/flow_solve.h"

namespace ffjord::cuda {
namespace {

// dz/dt = f, d(−Δlogp)/dt = div f, dr/dt = ±ρ.
class FlowSystem final : public RowSystem {
 public:
  FlowSystem(const BlockCall& call, const Groups& groups)
      : call_(call),
        groups_(groups),
        form_(call.form()),
        evaluation_(call.workspace.evaluation(0)),
        scratch_(form_.vjp ? &call.workspace.scratch() : nullptr) {}

  void evaluate(int, double c, const float* point, int stride, float* rates) override {
    call_.net.evaluate(evaluation_, scratch_, form_, call_.point(groups_, c, point, stride),
                       call_.columns(rates), false);
  }

 private:
  const BlockCall& call_;
  const Groups groups_;
  const EvaluationForm form_;
  Evaluation& evaluation_;
  PullbackScratch* const scratch_;
};

// Rows of the host as states [z | −Δlogp | r], and back.
std::vector<float> load(const BlockCall& call, const BlockRows<float>& rows) {
  const std::size_t dimension = call.dimension(), regularisers = call.regularisers();
  std::vector<float> states;
  states.reserve(rows.count * call.channels());
  for (std::size_t row = 0; row < rows.count; ++row) {
    const auto z = rows.z.begin() + row * dimension;
    states.insert(states.end(), z, z + dimension);
    states.push_back(-rows.delta_logp[row]);
    const auto r = rows.regularisers.begin() + row * regularisers;
    states.insert(states.end(), r, r + regularisers);
  }
  return states;
}

void store(const BlockCall& call, std::span<const float> states, std::span<float> z,
           std::span<float> delta_logp, std::span<float> regularisers) {
  const std::size_t dimension = call.dimension(), channels = call.channels();
  for (std::size_t row = 0; row < delta_logp.size(); ++row) {
    const auto state = states.begin() + row * channels;
    std::copy_n(state, dimension, z.begin() + row * dimension);
    delta_logp[row] = -state[dimension];
    if (!regularisers.empty())
      std::copy_n(state + dimension + 1, call.regularisers(),
                  regularisers.begin() + row * call.regularisers());
  }
}

}  // namespace

std::unique_ptr<SolveTape> solve_flow(const BlockCall& call, const BlockRows<float>& rows,
                                      DeviceArray<float> eps, bool keep_tape,
                                      const BlockTrajectory<float>* trajectory,
                                      SolveStatistics& statistics) {
  const bool checkpoints = keep_tape && call.plan.gradient.method == GradientMethod::Checkpoint;
  const std::span<const double> stops = trajectory ? trajectory->times : std::span<const double>();
  auto tape = std::make_unique<SolveTape>();
  tape->checkpoints = Checkpoints(call.dimension());
  Checkpoints* const kept = checkpoints ? &tape->checkpoints : nullptr;

  // Rows in, `run(stop_states)`, rows and the tape out.
  const auto carry_out = [&](auto& solve, const auto& run) {
    const std::vector<float> start = load(call, rows);
    DeviceArray<float> stop_states(stops.size() * start.size(), call.stream);
    check(cudaMemcpyAsync(solve.state(), start.data(), start.size() * sizeof(float),
                          cudaMemcpyHostToDevice, call.stream.get()),
          "copy of rows");
    run(stop_states);
    statistics.add(solve.outcome().statistics());

    std::vector<float> end(start.size()), passed(stop_states.size());
    check(cudaMemcpyAsync(end.data(), solve.state(), end.size() * sizeof(float),
                          cudaMemcpyDeviceToHost, call.stream.get()),
          "copy of rows");
    stop_states.copy_out(passed, call.stream);
    call.stream.synchronize();
    store(call, end, rows.z, rows.delta_logp, rows.regularisers);
    for (std::size_t stop = 0; stop < stops.size(); ++stop)
      store(call, std::span(passed).subspan(stop * end.size(), end.size()),
            trajectory->z.subspan(stop * rows.z.size(), rows.z.size()),
            trajectory->delta_logp.subspan(stop * rows.count, rows.count), {});
    if (!keep_tape) return;

    tape->ranges = solve.outcome().statistics();
    for (const Group& group : solve.outcome().ends()) tape->steps.push_back(group.step);
    if (checkpoints) {
      tape->groups = solve.outcome().copy_groups();
    } else {
      tape->end = DeviceArray<float>(end.size(), call.stream);
      tape->end.copy_in(end, call.stream);
      call.stream.synchronize();
    }
  };

  const std::optional<FusedPlan> fused = stops.empty() ? plan_fused_solve(call) : std::nullopt;
  if (fused) {
    FusedSolve& solve =
        call.workspace.fused_solve({call.plan.solver, call.grouping, call.reverse}, *fused);
    carry_out(solve, [&](DeviceArray<float>&) {
      solve.run(*fused, call.eps, {call.t0(), call.t1(), call.plan.stop, kept});
    });
  } else {
    const StateShape shape{call.channels(), call.dimension(), {call.dimension(), 1, 0}};
    BlockCall fixed = call;  // what it reads lies where a loop recorded before reads it
    fixed.eps = call.workspace.keep(Workspace::kEps, call.eps, eps.size());
    fixed.terms =
        call.workspace.keep(Workspace::kTerms, call.terms, rows.count * call.net.context().terms());
    JointSolve& solve = call.workspace.solve(
        {call.plan.solver, call.grouping, call.reverse, fixed.eps, fixed.terms}, shape);
    FlowSystem system(fixed, solve.groups());
    carry_out(solve, [&](DeviceArray<float>& stop_states) {
      solve.run(system, {call.t0(), call.t1(), call.plan.stop, kept, stops, &stop_states});
    });
  }
  if (!keep_tape) return nullptr;
  tape->plan = call.plan;
  tape->reverse = call.reverse;
  tape->grouping = call.grouping;
  tape->eps = std::move(eps);
  return tape;
}

}  // namespace ffjord::cuda
