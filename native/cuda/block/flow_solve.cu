#include <optional>
#include <utility>

#include "cuda/block/flow_solve.h"
#include "cuda/block/row_states.h"

namespace ffjord::cuda {
namespace {

// dz/dt = f, d(−Δlogp)/dt = div f, dr/dt = ±ρ.
class FlowSystem final : public RowSystem {
 public:
  FlowSystem(const BlockCall& call, Workspace& workspace, const Groups& groups,
             const KeptEvaluations* kept)
      : call_(call),
        groups_(groups),
        kept_(kept),
        form_(call.form()),
        evaluation_(workspace.evaluation(0)),
        scratch_(form_.vjp ? &workspace.scratch() : nullptr) {}

  void evaluate(int stage, double c, const StagePoint& point, float* rates) override {
    FieldPoint at = call_.point(groups_, c, point);
    if (stage != kTrialStage) at.slot = {kept_, stage};
    call_.net.evaluate(evaluation_, scratch_, form_, at, call_.columns(rates),
                       kept_ ? TapeUse::Keep : TapeUse::Pass);
  }
  const float* tape() const { return evaluation_.tape; }

 private:
  const BlockCall& call_;
  const Groups groups_;
  const KeptEvaluations* const kept_;
  const EvaluationForm form_;
  Evaluation& evaluation_;
  PullbackScratch* const scratch_;
};

// How many evaluations a solve may keep: those of its steps, guessed by the one before, and some
// more. In whole eights, so that what one solve gives back fits the next.
int evaluations_to_keep(const SolverOptions& solver, const std::vector<Group>& before) {
  constexpr int kUnknown = 32, kMargin = 4, kEight = 8;
  const Tableau& tableau = *solver.tableau;
  int steps = before.empty() ? 0 : before.front().step;
  steps = !tableau.adaptive ? solver.steps
          : steps == 0      ? kUnknown
                            : (steps + steps / kMargin) / kEight * kEight + kEight;
  return steps * tableau.differentiated_stages() + (tableau.fsal ? 1 : 0);
}

// States where the solve passed the trajectory's times, (times, B, S) on the device, to the host.
void store_stops(const BlockCall& call, const float* states, const BlockRows<float>& rows,
                 const BlockTrajectory<float>& trajectory) {
  DeviceArray<float> z(rows.z.size(), call.stream), delta_logp(rows.count, call.stream);
  RowArrays at = row_arrays(call, rows);
  at.z = z.data();
  at.delta_logp = delta_logp.data();
  at.regularisers = nullptr;
  for (std::size_t stop = 0; stop < trajectory.times.size(); ++stop) {
    unpack_states(at, states + stop * rows.count * call.channels(), call.stream);
    z.copy_out(trajectory.z.subspan(stop * z.size(), z.size()), call.stream);
    delta_logp.copy_out(trajectory.delta_logp.subspan(stop * rows.count, rows.count), call.stream);
  }
  call.stream.synchronize();
}

}  // namespace

std::unique_ptr<SolveTape> solve_flow(const BlockCall& call, Workspace& workspace,
                                      const BlockRows<float>& rows, DeviceArray<float> eps,
                                      bool keep_tape, const BlockTrajectory<float>* trajectory,
                                      SolveStatistics& statistics) {
  const bool checkpoints = keep_tape && call.plan.gradient.method == GradientMethod::Checkpoint;
  const std::span<const double> stops = trajectory ? trajectory->times : std::span<const double>();
  auto tape = std::make_unique<SolveTape>();
  tape->checkpoints = Checkpoints(call.dimension());
  Checkpoints* const kept = checkpoints ? &tape->checkpoints : nullptr;

  // Rows in, `run(stop_states)`, rows and the tape out.
  const auto carry_out = [&](auto& solve, const auto& run) {
    const std::size_t size = rows.count * call.channels();
    DeviceArray<float> stop_states(stops.size() * size, call.stream);
    pack_states(row_arrays(call, rows), solve.state(), call.stream);
    run(stop_states);
    statistics.add(solve.outcome().statistics());
    unpack_states(row_arrays(call, rows), solve.state(), call.stream);
    if (trajectory) store_stops(call, stop_states.data(), rows, *trajectory);
    if (!keep_tape) return;

    tape->ranges = solve.outcome().statistics();
    for (const Group& group : solve.outcome().ends()) tape->steps.push_back(group.step);
    if (checkpoints) {
      tape->groups = solve.outcome().copy_groups();
    } else {
      tape->end = DeviceArray<float>(size, call.stream);
      copy_columns(tape->end.data(), call.channels(), solve.state(), call.channels(),
                   call.channels(), rows.count, call.stream);
    }
  };

  // Steps that other processes take part in are the host's to start.
  SharedSums* const sums = call.plan.shared_sums();
  const std::optional<FusedPlan> fused =
      stops.empty() && !sums ? plan_fused_solve(call) : std::nullopt;
  if (fused) {
    FusedSolve& solve =
        workspace.fused_solve({call.plan.solver, call.grouping, call.reverse}, *fused);
    carry_out(solve, [&](DeviceArray<float>&) {
      solve.run(*fused, call.eps, {call.t0(), call.t1(), call.plan.stop, kept});
    });
  } else {
    const StateShape shape{call.channels(), call.dimension(), {call.dimension(), 1, 0}};
    BlockCall fixed = call;  // what it reads lies where a loop recorded before reads it
    fixed.eps = workspace.keep(Workspace::kEps, call.eps, eps.size());
    fixed.terms =
        workspace.keep(Workspace::kTerms, call.terms, rows.count * call.net.context().terms());
    const bool keeps_steps =
        checkpoints && stops.empty() && call.grouping.count() == 1 && call.form().keeps;
    JointSolve& solve = workspace.solve(
        {call.plan.solver, call.grouping, call.reverse, fixed.eps, fixed.terms, keeps_steps},
        shape);
    FlowSystem system(fixed, workspace, solve.groups(), keeps_steps ? solve.kept() : nullptr);
    if (keeps_steps)
      tape->kept = KeptSteps(evaluations_to_keep(call.plan.solver, solve.outcome().ends()),
                             call.plan.solver.tableau->differentiated_stages(),
                             workspace.tape_floats(), call.stream);
    carry_out(solve, [&](DeviceArray<float>& stop_states) {
      solve.run(system, {call.t0(), call.t1(), call.plan.stop, kept, tape->kept.from(system.tape()),
                         stops, &stop_states, sums});
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
