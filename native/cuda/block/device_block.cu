#include "core/errors.h"
#include "cuda/block/adjoint.h"
#include "cuda/block/batch_context.h"
#include "cuda/block/checkpoint.h"
#include "cuda/block/device_block.h"
#include "cuda/block/flow_solve.h"
#include "cuda/block/matching.h"
#include "cuda/block/noise.h"
#include "cuda/block/velocity.h"
#include "cuda/device/add_values.h"

namespace ffjord::cuda {
namespace {

// Brings numbers from the host to the device.
DeviceArray<float> copy_of(std::span<const float> values, const Stream& stream) {
  DeviceArray<float> copy(values.size(), stream);
  copy.copy_in(values, stream);
  return copy;
}

}  // namespace

DeviceBlock::DeviceBlock(const BlockPlace<float>& place, const FlowStream& stream)
    : ContinuousBlock(place),
      stream_(stream),
      first_parameter_(place.offsets.sqrt_end_time),
      net_(net_context(place), stream_),
      workspace_(net_, stream_) {}

void DeviceBlock::parameters_changed() {
  stream_.enter();
  net_.parameters_changed();
}

float* DeviceBlock::gradient_of(std::span<float> gradients) const {
  return gradients.empty() ? nullptr : gradients.data() + first_parameter_;
}

BlockCall DeviceBlock::call(const BlockPlan& plan, const Grouping& grouping, bool reverse,
                            const float* eps, const float* terms) {
  workspace_.use({grouping.batch, grouping.count(), plan.trace, plan.regularisers});
  return {net_, stream_, plan, grouping, reverse, plan.end_time(), eps, terms};
}

std::unique_ptr<BlockTape> DeviceBlock::solve_rows(const BlockPlan& plan, bool reverse,
                                                   const BlockRows<float>& rows,
                                                   const BlockNoise<float>& noise, bool keep_tape,
                                                   const BlockTrajectory<float>* trajectory,
                                                   SolveStatistics& statistics) {
  stream_.enter();
  const Control control = stepping(plan.solver);
  if (control == Control::Sample && net_.layers().front().hyper())
    throw Error(ErrorCode::Unsupported,
                "hyper layers take one time for all rows of an evaluation, so control 'sample' is "
                "not for them on the cuda engine; use control 'tile' or 'batch'");
  DeviceArray<float> eps = make_noise(noise, stream_);
  const Grouping grouping = Grouping::of(static_cast<int>(rows.count), control);
  const BatchContext context(net_.context(), rows.context, rows.count, stream_);
  const BlockCall block_call = call(plan, grouping, reverse, eps.data(), context.terms());
  return solve_flow(block_call, workspace_, rows, std::move(eps), keep_tape, trajectory,
                    statistics);
}

void DeviceBlock::pull_rows(const BlockTape& any_tape, const BlockRows<float>& rows,
                            std::span<float> gradients, SolveStatistics& statistics) {
  stream_.enter();
  const auto& tape = dynamic_cast<const SolveTape&>(any_tape);
  BatchContext context(net_.context(), rows.context, rows.count, stream_);
  BlockCall block_call =
      call(tape.plan, tape.grouping, tape.reverse, tape.eps.data(), context.terms());
  float* const gradient = gradient_of(gradients);
  if (gradient || !rows.context_bar.empty()) block_call.terms_bar = context.clear_bars();
  DeviceArray<double> end_time_bars(rows.count, stream_);  // of each row, times `time`
  end_time_bars.fill(0, stream_);
  double time = 1;
  if (tape.plan.gradient.method == GradientMethod::Checkpoint) {
    pull_checkpoints(block_call, workspace_, tape, rows, end_time_bars.data(), gradient,
                     statistics);
    time = block_call.end_time;
  } else {
    pull_adjoint(block_call, workspace_, tape, rows, end_time_bars.data(), gradient, statistics);
  }
  context.pull(gradient, rows.context_bar);
  if (gradient && time > 0)
    add_sum(end_time_bars.data(), rows.count, tape.plan.sqrt_end_time_bar(1 / time), gradient,
            stream_);
}

void DeviceBlock::evaluate(const BlockPoint<float>& point, std::span<float> f,
                           std::span<float> divergence) {
  stream_.enter();
  const DeviceArray<float> copied = copy_of(point.context, stream_);
  const BatchContext context(net_.context(), {copied.data(), copied.size()}, point.batch, stream_);
  evaluate_velocity({net_, workspace_, stream_, point.trace, point.times, point.batch, point.noise,
                     context.terms()},
                    point.z, f, divergence);
}

void DeviceBlock::pull_point(const BlockPoint<float>& point,
                             const PointCotangents<float>& cotangents) {
  stream_.enter();
  float* const gradient = gradient_of(cotangents.gradients);
  const DeviceArray<float> copied = copy_of(point.context, stream_);
  BatchContext context(net_.context(), {copied.data(), copied.size()}, point.batch, stream_);
  const bool wants_terms = gradient || !cotangents.context.empty();
  pull_velocity({net_, workspace_, stream_, point.trace, point.times, point.batch, point.noise,
                 context.terms(), wants_terms ? context.clear_bars() : nullptr},
                point.z, cotangents.f, cotangents.divergence, cotangents.z, gradient,
                cotangents.times);
  context.pull(gradient, cotangents.context);
}

void DeviceBlock::regress_point(const BlockPoint<float>& point, const VelocityTarget& target,
                                std::span<float> gradients) {
  stream_.enter();
  float* const gradient = gradient_of(gradients);
  const DeviceArray<float> copied = copy_of(point.context, stream_);
  BatchContext context(net_.context(), {copied.data(), copied.size()}, point.batch, stream_);
  regress_velocity({net_, workspace_, stream_, point.trace, point.times, point.batch, point.noise,
                    context.terms(), context.clear_bars()},
                   point.z, target, gradient);
  context.pull(gradient, {});
}

void DeviceBlock::match_rows(const MatchingRows<float>& rows, std::span<float> gradients) {
  stream_.enter();
  float* const gradient = gradient_of(gradients);
  BatchContext context(net_.context(), rows.context, rows.request.batch, stream_);
  match_on_device({net_, workspace_, stream_, context.terms(), context.clear_bars()}, rows,
                  gradient);
  context.pull(gradient, {});
}

}  // namespace ffjord::cuda
