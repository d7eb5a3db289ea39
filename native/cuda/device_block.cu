#include "core/errors.h"
#include "cuda/adjoint.h"
#include "cuda/batch_context.h"
#include "cuda/checkpoint.h"
#include "cuda/device_block.h"
#include "cuda/flow_solve.h"
#include "cuda/noise.h"
#include "cuda/velocity.h"

namespace ffjord::cuda {

/// Sums of a pullback on the device, added to the host's when it is through.
class DeviceBlock::Gradient {
 public:
  Gradient(const DenseNet& net, bool wanted, const Stream& stream)
      : sums_(wanted ? net.parameter_count() : 0, stream), stream_(stream) {
    sums_.fill(0, stream);
  }
  float* data() { return sums_.data(); }
  void add_to(std::span<float> gradients) const {
    std::vector<float> sums(sums_.size());
    sums_.copy_out(sums, stream_);
    stream_.synchronize();
    for (std::size_t i = 0; i < sums.size(); ++i) gradients[i] += sums[i];
  }

 private:
  DeviceArray<float> sums_;
  const Stream& stream_;
};

namespace {

// Of the calling thread; a flow is used by one thread at a time, but not always the same.
Stream stream_on(int device) {
  check(cudaSetDevice(device), "choice of the device");
  return Stream();
}

}  // namespace

DeviceBlock::DeviceBlock(const BlockContext<float>& context, int device)
    : device_(device),
      stream_(stream_on(device)),
      parameters_(context.parameters),
      sqrt_end_time_offset_(context.offsets.sqrt_end_time),
      net_(context, stream_),
      workspace_(net_) {}

void DeviceBlock::enter() const { check(cudaSetDevice(device_), "choice of the device"); }

void DeviceBlock::parameters_changed() {
  enter();
  net_.set_parameters(parameters_.subspan(sqrt_end_time_offset_, net_.parameter_count()));
}

BlockCall DeviceBlock::call(const BlockPlan& plan, const Grouping& grouping, bool reverse,
                            const float* eps, const float* terms) {
  workspace_.use({grouping.batch, grouping.count(), plan.trace, plan.regularisers});
  const double end_time = sqrt_end_time() * sqrt_end_time() * plan.end_time_factor;
  return {net_, workspace_, stream_, plan, grouping, reverse, end_time, eps, terms};
}

std::unique_ptr<BlockTape> DeviceBlock::solve(const BlockPlan& plan, bool reverse,
                                              const BlockRows<float>& rows,
                                              const BlockNoise<float>& noise, bool keep_tape,
                                              const BlockTrajectory<float>* trajectory,
                                              SolveStatistics& statistics) {
  enter();
  const Control control = stepping(plan.solver);
  if (control == Control::Sample && net_.layers().front().hyper())
    throw Error(ErrorCode::Unsupported,
                "hyper layers take one time for all rows of an evaluation, so control 'sample' is "
                "not for them on the cuda engine; use control 'tile' or 'batch'");
  DeviceArray<float> eps = make_noise(noise, stream_);
  const Grouping grouping = Grouping::of(static_cast<int>(rows.count), control);
  const BatchContext context(net_.context(), rows.context, rows.count, stream_);
  const BlockCall block_call = call(plan, grouping, reverse, eps.data(), context.terms());
  return solve_flow(block_call, rows, std::move(eps), keep_tape, trajectory, statistics);
}

void DeviceBlock::pullback(const BlockTape& any_tape, const BlockRows<float>& rows,
                           std::span<float> gradients, SolveStatistics& statistics) {
  enter();
  const auto& tape = dynamic_cast<const SolveTape&>(any_tape);
  BatchContext context(net_.context(), rows.context, rows.count, stream_);
  BlockCall block_call =
      call(tape.plan, tape.grouping, tape.reverse, tape.eps.data(), context.terms());
  if (!gradients.empty() || !rows.context_bar.empty()) block_call.terms_bar = context.clear_bars();
  Gradient gradient(net_, !gradients.empty(), stream_);
  double end_time_bar = 0;
  if (tape.plan.gradient.method == GradientMethod::Checkpoint) {
    const double sum = pull_checkpoints(block_call, tape, rows, gradient.data(), statistics);
    if (block_call.end_time > 0) end_time_bar = sum / block_call.end_time;
  } else {
    end_time_bar = pull_adjoint(block_call, tape, rows, gradient.data(), statistics);
  }
  context.pull(gradient.data(), rows.context_bar);
  if (gradients.empty()) return;
  gradient.add_to(gradients.subspan(sqrt_end_time_offset_, net_.parameter_count()));
  gradients[sqrt_end_time_offset_] +=
      static_cast<float>(2 * sqrt_end_time() * tape.plan.end_time_factor * end_time_bar);
}

void DeviceBlock::velocity(const BlockPoint<float>& point, std::span<float> f,
                           std::span<float> divergence) {
  enter();
  const BatchContext context(net_.context(), point.context, point.batch, stream_);
  evaluate_velocity({net_, workspace_, stream_, point.trace, point.times, point.batch, point.z,
                     point.noise, context.terms()},
                    f, divergence);
}

void DeviceBlock::velocity_pullback(const BlockPoint<float>& point,
                                    const PointCotangents<float>& cotangents) {
  enter();
  Gradient gradient(net_, !cotangents.gradients.empty(), stream_);
  BatchContext context(net_.context(), point.context, point.batch, stream_);
  const bool wants_terms = !cotangents.gradients.empty() || !cotangents.context.empty();
  pull_velocity({net_, workspace_, stream_, point.trace, point.times, point.batch, point.z,
                 point.noise, context.terms(), wants_terms ? context.clear_bars() : nullptr},
                cotangents.f, cotangents.divergence, cotangents.z, gradient.data(),
                cotangents.times);
  context.pull(gradient.data(), cotangents.context);
  if (!cotangents.gradients.empty())
    gradient.add_to(cotangents.gradients.subspan(sqrt_end_time_offset_, net_.parameter_count()));
}

}  // namespace ffjord::cuda
