#include "reference/reference_block.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/errors.h"
#include "reference/adjoint.h"

namespace ffjord::reference {

namespace {

constexpr std::size_t kTileRows = 32;  // as the cpu engine's small nets have

std::vector<Group> groups_of(Control control, std::size_t batch) {
  if (control == Control::Batch) return {{0, batch}};
  const std::size_t size = control == Control::Tile ? kTileRows : 1;
  std::vector<Group> groups;
  for (std::size_t row = 0; row < batch; row += size)
    groups.push_back({row, std::min(size, batch - row)});
  return groups;
}

// Rows at one time: all, or one each.
std::vector<Group> groups_of(const BlockPoint<double>& point) {
  return groups_of(point.times.size() == 1 ? Control::Batch : Control::Sample, point.batch);
}

// Rows `group` of a (K, B, size) array.
Vector rows_of_probes(View eps, const Group& group, std::size_t batch, std::size_t size) {
  Vector part;
  for (std::size_t probe = 0; probe * batch * size < eps.size(); ++probe) {
    const View rows = eps.subspan((probe * batch + group.first) * size, group.count * size);
    part.insert(part.end(), rows.begin(), rows.end());
  }
  return part;
}

// The group's rows as one state [z | Δlogp | r], and back.
Vector gather(const RowSystem& system, const Group& group, const BlockRows<double>& rows) {
  const std::size_t dimension = system.dynamics().dimension();
  const std::size_t regularisers = rows.regularisers.size() / rows.count;
  Vector state(system.size());
  const auto copy = [&](View from, std::size_t columns, Target to) {
    std::copy_n(from.begin() + group.first * columns, group.count * columns, to.begin());
  };
  copy(rows.z, dimension, system.z(state));
  copy(rows.delta_logp, 1, system.delta_logp(state));
  copy(rows.regularisers, regularisers, system.regularisers(state));
  return state;
}

// The group's rows of a (B, columns) array; all of none.
template <class Array>
Array part_of(Array array, const Group& group, std::size_t columns) {
  return array.empty() ? array : array.subspan(group.first * columns, group.count * columns);
}

void scatter(View part, const Group& group, Target rows) {
  const std::size_t columns = part.size() / group.count;
  std::copy(part.begin(), part.end(), rows.begin() + group.first * columns);
}

struct GroupTape {
  Group group;
  Vector eps;                           // (K, rows, D)
  std::vector<Checkpoint> checkpoints;  // checkpoint
  Vector end;                           // adjoint: the end state
};

// Gradients of the weights and of the end time, summed by slots; rows that step together are one
// sum.
class SlotSums {
 public:
  SlotSums(const Slots& slots, std::size_t gradients)
      : slots_(slots), gradients_(slots.count(), Vector(gradients)), end_times_(slots.count()) {}

  Target gradients(const Group& group) { return gradients_[slots_.of(group.first)]; }
  double& end_time(const Group& group) { return end_times_[slots_.of(group.first)]; }

  void add_to(Target gradients, std::size_t end_time_offset) {
    const bool has_end_time = end_time_offset != kAbsent && !gradients.empty();
    for (std::size_t slot = 0; slot < slots_.count() && has_end_time; ++slot)
      gradients_[slot][end_time_offset] += end_times_[slot];
    add_as_tree(slots_.count(), [&](std::size_t to, std::size_t from) {
      add_scaled(1, gradients_[from], gradients_[to]);
    });
    add_scaled(1, gradients_.front(), gradients);
  }

 private:
  const Slots slots_;
  std::vector<Vector> gradients_;
  Vector end_times_;
};

struct ReferenceTape : BlockTape {
  BlockPlan plan;
  std::vector<GroupTape> groups;
};

DynamicsPlan dynamics_plan(const BlockPlan& plan) { return {plan.trace, plan.regularisers}; }

}  // namespace

ReferenceBlock::ReferenceBlock(const BlockPlace<double>& place)
    : ContinuousBlock(place),
      dynamics_(net_context(place)),
      sqrt_end_time_offset_(place.offsets.sqrt_end_time) {}

std::unique_ptr<BlockTape> ReferenceBlock::solve_rows(const BlockPlan& plan, bool reverse,
                                                      const BlockRows<double>& rows,
                                                      const BlockNoise<double>& noise,
                                                      bool keep_tape,
                                                      const BlockTrajectory<double>* trajectory,
                                                      SolveStatistics& statistics) {
  const double end_time = plan.end_time();
  const double t0 = reverse ? end_time : 0, t1 = reverse ? 0 : end_time;
  auto tape = std::make_unique<ReferenceTape>();
  tape->plan = plan;
  tape->reverse = reverse;
  const Vector eps = noise.values();
  const bool keep_steps = keep_tape && plan.gradient.method == GradientMethod::Checkpoint;

  for (const Group& group : groups_of(stepping(plan.solver), rows.count)) {
    GroupTape kept{
        group,
        rows_of_probes(eps, group, rows.count, plan.trace.noise_size(dynamics_.dimension())),
        {},
        {}};
    const RowSystem rates(dynamics_, dynamics_plan(plan), reverse, group.count, kept.eps,
                          part_of(rows.context, group, dynamics_.context_size()));
    const System system{rates.size(), group.count, rates.tensors(),
                        [&](double t, View y, Target rate) { rates.derivative(t, y, rate); },
                        plan.shared_sums()};
    Watch watch;
    watch.on_step = [&](const AcceptedStep& step, View y) {
      const View z = rates.z(y);
      if (keep_steps) kept.checkpoints.push_back({step, Vector(z.begin(), z.end())});
    };
    if (trajectory) watch.times = trajectory->times;
    watch.on_time = [&](std::size_t index, View y) {
      const std::size_t before = index * rows.count;
      scatter(rates.z(y), group, trajectory->z.subspan(before * dynamics_.dimension()));
      scatter(rates.delta_logp(y), group, trajectory->delta_logp.subspan(before));
    };

    Vector state = gather(rates, group, rows);
    SolveStatistics counts;
    try {
      integrate(system, plan.solver, plan.stop, t0, t1, state, watch, counts);
    } catch (SolveFailure& failure) {
      for (std::size_t& row : failure.rows) row += group.first;
      throw;
    }
    counts.smallest_step_row += group.first;
    statistics.add(counts, static_cast<double>(group.count) / rows.count);
    scatter(rates.z(state), group, rows.z);
    scatter(rates.delta_logp(state), group, rows.delta_logp);
    scatter(rates.regularisers(state), group, rows.regularisers);
    if (!keep_tape) continue;
    if (!keep_steps) kept.end = std::move(state);
    tape->groups.push_back(std::move(kept));
  }
  return keep_tape ? std::move(tape) : nullptr;
}

void ReferenceBlock::pull_rows(const BlockTape& any_tape, const BlockRows<double>& rows,
                               Target gradients, SolveStatistics& statistics) {
  const auto& tape = dynamic_cast<const ReferenceTape&>(any_tape);
  const BlockPlan& plan = tape.plan;
  const double end_time = plan.end_time();
  SlotSums sums(Slots(rows.count, plan.share), gradients.size());
  for (const GroupTape& kept : tape.groups) {
    const std::size_t context_size = dynamics_.context_size();
    const RowSystem rates(dynamics_, dynamics_plan(plan), tape.reverse, kept.group.count, kept.eps,
                          part_of(rows.context, kept.group, context_size));
    const Target context_bar = part_of(rows.context_bar, kept.group, context_size);
    Vector bar = gather(rates, kept.group, rows);
    SolveStatistics counts;
    if (plan.gradient.method == GradientMethod::Checkpoint) {
      const double sum = pull_checkpoints(rates, *plan.solver.tableau, kept.checkpoints, plan.stop,
                                          bar, sums.gradients(kept.group), context_bar, counts);
      if (end_time > 0) sums.end_time(kept.group) += plan.sqrt_end_time_bar(sum / end_time);
    } else {
      const AdjointProblem problem{tape.reverse ? end_time : 0, tape.reverse ? 0 : end_time,
                                   kept.end, plan.gradient.norm, plan.shared_sums()};
      sums.end_time(kept.group) +=
          plan.sqrt_end_time_bar(pull_adjoint(rates, plan.solver, problem, plan.stop, bar,
                                              sums.gradients(kept.group), context_bar, counts));
    }
    statistics.add(counts, static_cast<double>(kept.group.count) / rows.count);
    scatter(rates.z(bar), kept.group, rows.z);
  }
  sums.add_to(gradients, sqrt_end_time_offset_);
}

void ReferenceBlock::evaluate(const BlockPoint<double>& point, Target f, Target divergence) {
  const Vector eps = point.noise.values();
  for (const Group& group : groups_of(point)) {
    const Vector noise =
        rows_of_probes(eps, group, point.batch, point.trace.noise_size(dynamics_.dimension()));
    dynamics_.evaluate(
        {point.trace, {}}, point_of(point, group, noise),
        {part_of(f, group, dynamics_.dimension()), part_of(divergence, group, 1), {}});
  }
}

void ReferenceBlock::pull_point(const BlockPoint<double>& point,
                                const PointCotangents<double>& cotangents) {
  const std::size_t dimension = dynamics_.dimension();
  const Vector eps = point.noise.values();
  for (const Group& group : groups_of(point)) {
    const Vector noise = rows_of_probes(eps, group, point.batch, point.trace.noise_size(dimension));
    Vector rows_bar(group.count * dimension);
    const double t_bar = dynamics_.pullback(
        {point.trace, {}}, point_of(point, group, noise),
        {part_of(cotangents.f, group, dimension), part_of(cotangents.divergence, group, 1), {}},
        rows_bar, cotangents.gradients,
        part_of(cotangents.context, group, dynamics_.context_size()));
    if (!cotangents.z.empty()) add_scaled(1, rows_bar, part_of(cotangents.z, group, dimension));
    if (!cotangents.times.empty()) cotangents.times[group.first] += t_bar;
  }
}

Point ReferenceBlock::point_of(const BlockPoint<double>& point, const Group& group,
                               View eps) const {
  return {point.times[group.first], group.count, part_of(point.z, group, dynamics_.dimension()),
          eps, part_of(point.context, group, dynamics_.context_size())};
}

}  // namespace ffjord::reference
