#include "cpu/flow_solve.h"

#include <algorithm>
#include <new>
#include <utility>

#include "core/errors.h"
#include "cpu/context_tiles.h"
#include "cpu/flow_rates.h"
#include "cpu/row_solve.h"

namespace ffjord::cpu {
namespace {

class FlowSystem final : public TileSystem {
 public:
  /// Of tiles first … first + count − 1. `tape` may be null; `steps` is where their accepted steps
  /// go with it.
  FlowSystem(const BlockCall& call, std::size_t first, std::size_t count, const SolveTape& noise,
             SolveTape* tape, std::vector<Step>* steps, const BlockTrajectory<float>* trajectory)
      : call_(call),
        first_(first),
        count_(count),
        noise_(noise),
        tape_(tape),
        steps_(steps),
        trajectory_(trajectory) {}

  Channels channels() const override { return flow_channels(call_); }

  void evaluate(int worker, std::size_t tile, int stage, const TimeSlot& time, const float* state,
                float* rates) override {
    KeptEvaluations* const all = tape_ && stage != kTrialStage ? tape_->kept.get() : nullptr;
    const RowConstants constants{noise_.tile_noise(tile), noise_.tile_terms(tile)};
    if (all && keep(*all, worker, tile, stage, time, constants, state, rates)) return;
    evaluate_flow(call_, worker, time, constants, state, rates);
  }

  void begin_step(std::size_t tile, const float* state) override {
    if (tape_) tape_->states[tile].insert(tape_->states[tile].end(), state, state + call_.z_size());
  }
  void accept(const Step& step) override {
    if (!tape_) return;
    steps_->push_back(step);
    if (tape_->kept) tape_->kept->accept(first_, count_, step);
  }

  void reach_stop(std::size_t stop, std::size_t tile, const float* state) override {
    const std::size_t batch = call_.tiles.batch;
    store_tile(call_.tiles, tile, state, call_.dimension,
               trajectory_->z.subspan(stop * batch * call_.dimension));
    const std::span<float> delta_logp = trajectory_->delta_logp.subspan(stop * batch, batch);
    store_tile(call_.tiles, tile, state + call_.z_size(), 1, delta_logp);
    const std::size_t first = call_.tiles.first_row(tile);
    for (float& value : delta_logp.subspan(first, call_.tiles.rows_in(tile))) value = -value;
  }

 private:
  /// Evaluates where the pullback finds it; false where there is no memory for that.
  bool keep(KeptEvaluations& all, int worker, std::size_t tile, int stage, const TimeSlot& time,
            const RowConstants& constants, const float* state, float* rates) {
    KeptEvaluation* kept = nullptr;
    try {
      kept = all.place(tile, stage);
      if (!kept) return false;
      evaluate_flow(call_, worker, time, constants, state, rates, kept);
      all.count(*kept);
      return true;
    } catch (const Error& error) {
      if (error.code != ErrorCode::OutOfMemory) throw;
    } catch (const std::bad_alloc&) {
    }
    all.drop(tile, stage);
    return false;
  }

  const BlockCall& call_;
  const std::size_t first_, count_;
  const SolveTape& noise_;
  SolveTape* const tape_;
  std::vector<Step>* const steps_;
  const BlockTrajectory<float>* const trajectory_;
};

void negate(std::span<float> values) {
  for (float& value : values) value = -value;
}

void load(const BlockCall& call, const BlockRows<float>& rows) {
  negate(rows.delta_logp);
  for (std::size_t tile = 0; tile < call.tiles.count(); ++tile) {
    float* state = call.workspace.states.state(tile, 0);
    load_tile(call.tiles, tile, rows.z, call.dimension, state);
    load_tile(call.tiles, tile, rows.delta_logp, 1, state + call.z_size());
    load_tile(call.tiles, tile, rows.regularisers, call.regularisers(),
              state + call.z_size() + call.tiles.rows);
  }
  negate(rows.delta_logp);
}

void store(const BlockCall& call, std::size_t tile, const float* state,
           const BlockRows<float>& rows) {
  store_tile(call.tiles, tile, state, call.dimension, rows.z);
  store_tile(call.tiles, tile, state + call.z_size(), 1, rows.delta_logp);
  store_tile(call.tiles, tile, state + call.z_size() + call.tiles.rows, call.regularisers(),
             rows.regularisers);
  negate(rows.delta_logp.subspan(call.tiles.first_row(tile), call.tiles.rows_in(tile)));
}

}  // namespace

std::unique_ptr<SolveTape> solve_flow(const BlockCall& call, const BlockRows<float>& rows,
                                      std::span<const float> eps, bool keep_tape,
                                      const BlockTrajectory<float>* trajectory,
                                      SolveStatistics& statistics) {
  const SolverOptions& solver = call.plan.solver;
  const Tiles& tiles = call.tiles;
  const bool alone = stepping(solver) == Control::Tile;
  const bool checkpoints = keep_tape && call.plan.gradient.method == GradientMethod::Checkpoint;
  const std::span<const double> stops = trajectory ? trajectory->times : std::span<const double>();

  auto tape = std::make_unique<SolveTape>(call.workspace.spare);
  tape->plan = call.plan;
  tape->reverse = call.reverse;
  tape->tiles = tiles;
  tape->terms = context_terms(call.net, call.team, tiles, rows.context, tape->spare->take());
  if (stepping(solver) == Control::Sample && call.end_time > 0) {
    solve_rows(call, rows, eps, tape->terms, checkpoints ? &tape->rows : nullptr, trajectory,
               statistics);
    if (!keep_tape) return nullptr;
    tape->rows.eps.assign(eps.begin(), eps.end());
    return tape;
  }
  tape->eps = tile_noise(tiles, eps, call.plan.trace.noise_size(call.dimension));
  if (checkpoints) {
    tape->steps.resize(alone ? tiles.count() : 1);
    tape->states.resize(tiles.count());
    if (call.keeps_unasked > 0)
      tape->kept = std::make_unique<KeptEvaluations>(
          call.net, call.plan.trace, call.plan.regularisers, *solver.tableau, tiles.count(),
          call.keeps_unasked, call.workspace.evaluations);
  }
  const auto system_of = [&](std::size_t group) {
    return FlowSystem(call, group, alone ? 1 : tiles.count(), *tape,
                      checkpoints ? tape.get() : nullptr,
                      checkpoints ? &tape->steps[group] : nullptr, trajectory);
  };

  Workspace& workspace = call.workspace;
  workspace.states.resize(tiles.count(), flow_channels(call), tiles.rows);
  const bool keeps_stages = !alone && reads_stages(solver, stops);
  workspace.steps.resize(std::max<std::size_t>(workspace.steps.size(),
                                               keeps_stages ? tiles.count() : call.team.size()));
  load(call, rows);

  // The rows are written when every tile has arrived, so a failing solve leaves them as they were.
  std::vector<const float*> ends(tiles.count());
  if (alone) {
    std::vector<SolveStatistics> counts(tiles.count());
    call.team.run(tiles.count(), [&](int worker, std::size_t tile) {
      FlowSystem system = system_of(tile);
      const TileGroup group{tiles, tile, 1, [&](const Job& job) { job(worker, tile); }};
      JointSolve solve(solver, call.plan.stop, system, group, workspace.worker(worker).times,
                       workspace.states, workspace.steps);
      solve.run(call.t0(), call.t1(), stops);
      counts[tile] = solve.statistics();
      ends[tile] = solve.state(tile);
    });
    for (std::size_t tile = 0; tile < tiles.count(); ++tile)
      statistics.add(counts[tile],
                     static_cast<double>(tiles.rows_in(tile)) / static_cast<double>(tiles.batch));
  } else {
    FlowSystem system = system_of(0);
    const TileSlots slots(tiles, call.plan.share, kMostSlots);
    const TileGroup group{tiles,
                          0,
                          tiles.count(),
                          [&](const Job& job) { call.team.run(tiles.count(), job); },
                          &slots,
                          call.plan.shared_sums(),
                          call.time_setters(),
                          keeps_stages};
    JointSolve solve(solver, call.plan.stop, system, group, workspace.times, workspace.states,
                     workspace.steps);
    solve.run(call.t0(), call.t1(), stops);
    statistics.add(solve.statistics());
    for (std::size_t tile = 0; tile < tiles.count(); ++tile) ends[tile] = solve.state(tile);
  }

  for (std::size_t tile = 0; tile < tiles.count(); ++tile) store(call, tile, ends[tile], rows);
  if (!keep_tape) return nullptr;
  if (!checkpoints)
    for (const float* end : ends)
      tape->end.insert(tape->end.end(), end, end + call.z_size() + tiles.rows);
  return tape;
}

}  // namespace ffjord::cpu
