#include "core/host_flow.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "core/chain_border.h"
#include "core/chain_state.h"
#include "core/chain_tape.h"
#include "core/continuous_block.h"
#include "core/dataset_rows.h"
#include "core/end_cotangents.h"
#include "core/fixed_run.h"
#include "core/image_rows.h"
#include "core/initial_values.h"
#include "core/parameter_buffers.h"
#include "core/trajectory.h"

namespace ffjord {
namespace {

std::vector<double> first_weights(const FlowDescription& flow, const FlowLayout& layout,
                                  std::optional<std::uint64_t> seed) {
  return seed ? initial_parameters(flow, layout, *seed) : std::vector<double>();
}

template <class Real>
class HostFlow : public Flow {
 public:
  HostFlow(const FlowDescription& description, std::optional<std::uint64_t> seed,
           std::unique_ptr<FlowDevice<Real>> device)
      : description_(description),
        shapes_(validate(description)),
        layout_(description),
        size_(element_count(description.shape)),
        run_(description_, shapes_),
        device_(std::move(device)),
        border_(description_, run_, run_.size() < description_.blocks.size(), *device_),
        buffers_(layout_, *device_, first_weights(description_, layout_, seed),
                 initial_buffers(layout_)) {
    if (seed) buffers_.draw_spectral_vectors(*seed);
    for (std::size_t i = run_.size(); i < description_.blocks.size(); ++i) {
      blocks_.push_back(
          device_->make_block({description_.blocks[i], i, std::uint32_t(continuous_.size()),
                               shapes_[i], layout_.blocks[i], buffers_.effective_weights(),
                               buffers_.statistics().values(), description_.context}));
      if (auto* block = dynamic_cast<ContinuousBlock<Real>*>(blocks_.back().get())) {
        continuous_.push_back(block);
        end_time_places_.push_back(layout_.blocks[i].sqrt_end_time);
      }
    }
    parameters_changed();
  }

  const FlowDescription& description() const override { return description_; }
  const FlowLayout& layout() const override { return layout_; }
  double epsilon() const override { return std::numeric_limits<Real>::epsilon(); }

  std::vector<double> end_times() const override {
    std::vector<double> times;
    for (double root : sqrt_end_times()) times.push_back(root * root);
    return times;
  }

  void read(Buffer buffer, const Output& values) const override { buffers_.read(buffer, values); }
  void write(Buffer buffer, const Input& values) override {
    if (buffers_.write(buffer, values)) parameters_changed();
  }
  void zero_gradients() override { buffers_.zero_gradients(); }
  void sum_gradients(SharedSums& sums) override { buffers_.sum_gradients(sums); }

  SolveResult solve(const SolveRequest& request, const SolveOutput& output) override {
    require(request.batch > 0, "the batch is empty");
    const Settings& settings = request.settings;
    require_supported(settings.solver, settings.gradient, settings.regularisers, request.keep_tape);
    require(settings.steer >= 0 && settings.steer < 1, "steer must lie in [0, 1)");
    require(settings.steer == 0 || !request.training || request.times.empty(),
            "a trajectory has fixed times; ask for it without steer");

    auto tape = std::make_unique<ChainTape<Real>>(zeros(request.batch * description_.context.size));
    tape->batch = request.batch;
    tape->share = request.share;
    tape->direction = request.direction;
    tape->regularisers = static_cast<int>(settings.regularisers.count());
    tape->generation = generation_;
    tape->of_dataset = request.rows.set != nullptr;
    tape->blocks.resize(blocks_.size());
    ChainState<Real> state = zero_state(*tape);
    ExactRows exact = border_.enter(request, state, *tape);

    SolveResult result;
    Trajectory<Real> trajectory = make_trajectory(request, output);
    const ChainSolve<Real> call{request,    tape->context, sqrt_end_times(),
                                trajectory, result,        exact.outside};
    const bool reverse = call.reverse();
    if (reverse) set_splits_aside(state);
    for (std::size_t step = 0; step < blocks_.size(); ++step) {
      const std::size_t i = reverse ? blocks_.size() - 1 - step : step;
      tape->blocks[i] = blocks_[i]->solve(call, state);
    }
    while (!state.aside.empty()) state.collect();

    if (reverse)
      border_.leave_at_data(request.keep_tape, state, *tape, output);
    else
      border_.leave_at_base(state, exact, output);
    hand_over(state.regularisers, output.regularisers);
    if (call.trains()) set_pending(*tape);
    if (request.keep_end) tape->end = std::move(state);
    if (request.keep_tape) result.tape = std::move(tape);
    return result;
  }

  PendingMeans likelihood(const Tape& tape) override {
    return likelihood_at_end(*device_, dynamic_cast<const ChainTape<Real>&>(tape));
  }

  SolveStatistics pullback(const Tape& any_tape, const PullbackRequest& request) override {
    const auto& tape = dynamic_cast<const ChainTape<Real>&>(any_tape);
    require(tape.generation == generation_,
            "the weights changed since the solve; solve again before this pullback");
    require(request.rows_bar.empty() || run_.empty() || !tape.of_dataset,
            "the rows of this data set stay behind the flow's first transforms");
    std::vector<Real> context_bar(request.context_bar.size(), Real(0));
    require(context_bar.empty() || context_bar.size() == tape.context.size(),
            "context_bar must have the shape of the context");

    ChainState<Real> bar = zero_state(tape);
    const bool reverse = tape.direction == Direction::Reverse;
    if (request.likelihood)
      set_likelihood_bars(*device_, tape, *request.likelihood, bar);
    else
      border_.enter(request, tape, bar);
    if (!reverse) set_splits_aside(bar);

    SolveStatistics statistics;
    const ChainPullback<Real> call{tape.context, context_bar,
                                   buffers_.begin_gradients(request.parameters), statistics};
    for (std::size_t step = 0; step < blocks_.size(); ++step) {
      const std::size_t i = reverse ? step : blocks_.size() - 1 - step;
      blocks_[i]->pullback(*tape.blocks[i], call, bar);
    }
    while (!bar.aside.empty()) bar.collect();
    buffers_.end_gradients(request.parameters);
    border_.leave(request, tape, bar);
    request.context_bar.assign(std::span<const Real>(context_bar));
    return statistics;
  }

  void velocity(const VelocityRequest& request, const Output& f,
                const Output& divergence) override {
    continuous(request.block).velocity(request, f, divergence);
  }

  void velocity_pullback(const VelocityRequest& request, const Input& f_bar,
                         const Input& divergence_bar, bool parameters,
                         const Output& z_bar) override {
    continuous(request.block)
        .velocity_pullback(request, f_bar, divergence_bar, buffers_.begin_gradients(parameters),
                           z_bar);
    buffers_.end_gradients(parameters);
  }

  void velocity_regression(const VelocityRequest& request, const VelocityTarget& target) override {
    continuous(request.block).velocity_regression(request, target, buffers_.begin_gradients(true));
    buffers_.end_gradients(true);
  }

  bool match(const MatchingRequest& request) override {
    if (device_->is_host() || continuous_.size() != 1) return false;
    if (blocks_.front().get() != continuous_.front()) return false;
    SolveRequest source;
    source.batch = request.batch;
    source.rows = request.rows;
    source.context = request.context;
    ChainTape<Real> tape(zeros(request.batch * description_.context.size));
    tape.batch = request.batch;
    ChainState<Real> state = zero_state(tape);
    border_.enter(source, state, tape);
    continuous_.front()->match(request, state.z.read_on_device(), tape.context.read_on_device(),
                               buffers_.begin_gradients(true));
    buffers_.end_gradients(true);
    return true;
  }

  PendingNorm step(const OptimizerOptions& options) override {
    PendingNorm norm = buffers_.step(options);
    for (const auto& [block, seen] : pending_) block->commit(*seen, buffers_.statistics().values());
    pending_.clear();
    weights_changed();
    end_times_moved_ = end_times_moved_ || trains_end_times();
    return norm;
  }

  std::unique_ptr<Rows> upload(std::size_t count, const Input& rows) override {
    require(count > 0 && rows.size() == count * size_,
            "rows must hold " + std::to_string(size_) + " values each");
    return std::make_unique<DatasetRows<Real>>(*device_, count, rows, &run_,
                                               device_->has_room(rows.size() + count));
  }

  std::unique_ptr<Rows> upload_contexts(std::size_t count, const Input& contexts) override {
    const std::size_t size = description_.context.size;
    require(count > 0 && size > 0 && contexts.size() == count * size,
            "contexts must hold " + std::to_string(size) + " values each");
    return std::make_unique<DatasetRows<Real>>(*device_, count, contexts, nullptr,
                                               device_->has_room(contexts.size()));
  }

  std::unique_ptr<Rows> upload_images(std::size_t count, std::span<const std::uint8_t> levels,
                                      const VisitRule& rule) override {
    require(count > 0 && levels.size() == count * size_,
            "images must hold " + std::to_string(size_) + " levels each");
    require(rule.width > 0 && size_ % rule.width == 0, "a row of pixels must divide an image");
    return std::make_unique<ImageRows<Real>>(
        *device_, count, std::vector<std::uint8_t>(levels.begin(), levels.end()), rule, run_);
  }

  void gather(const RowSource& source, const Output& target) const override {
    const std::span<const std::uint32_t> indices = source.indices;
    if (const auto* images = dynamic_cast<const ImageRows<Real>*>(source.set)) {
      const VisitedRows visited = images->at(source);
      require(target.size() == visited.z.size(), "the target must hold the gathered rows");
      return target.assign(std::span<const Real>(rounded_to<Real>(visited.z, size_)));
    }
    const auto& rows = DatasetRows<Real>::of(*source.set, indices);
    require(target.size() == indices.size() * rows.width(),
            "the target must hold the gathered rows");
    std::vector<Real> batch(target.size());
    gather_rows<Real>(rows.values().read(), indices, rows.width(), batch);
    target.assign(std::span<const Real>(batch));
  }

 private:
  RowValues<Real> zeros(std::size_t count) const { return RowValues<Real>::zeros(*device_, count); }

  ChainState<Real> zero_state(const ChainTape<Real>& tape) const {
    const std::size_t batch = tape.batch;
    return {batch, zeros(batch * size_), zeros(batch), zeros(batch * tape.regularisers), {}};
  }

  // What this training solve saw is committed with the optimizer's next step.
  void set_pending(const ChainTape<Real>& tape) {
    pending_.clear();
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      if (auto seen = blocks_[i]->seen(*tape.blocks[i]))
        pending_.emplace_back(blocks_[i].get(), std::move(seen));
  }

  Trajectory<Real> make_trajectory(const SolveRequest& request, const SolveOutput& output) const {
    for (const auto& shape : shapes_)
      require(request.times.empty() || shape == shapes_.front(),
              "a flow with squeeze or split has no trajectory");
    return {end_times(), request, output, size_};
  }

  void parameters_changed() {
    weights_changed();
    end_times_moved_ = true;
  }
  void weights_changed() {
    ++generation_;
    buffers_.update_effective_weights();
    for (auto& block : blocks_) block->parameters_changed();
  }

  // Read where they are needed: a device is waited for then, and not behind a step.
  const std::vector<Real>& sqrt_end_times() const {
    if (std::exchange(end_times_moved_, false))
      sqrt_end_times_ = buffers_.weights_at(end_time_places_);
    return sqrt_end_times_;
  }
  bool trains_end_times() const {
    return std::ranges::any_of(layout_.parameters, [&](const Parameter& parameter) {
      return parameter.trainable && std::ranges::count(end_time_places_, parameter.offset) > 0;
    });
  }

  ContinuousBlock<Real>& continuous(int number) const {
    require(number >= 0 && std::size_t(number) < continuous_.size(),
            "this flow has " + std::to_string(continuous_.size()) + " CNF blocks, counted from 0");
    return *continuous_[number];
  }

  // Base side → moving part and parts aside: z is [first half out, …, last].
  void set_splits_aside(ChainState<Real>& state) const {
    for (std::size_t i = 0; i < description_.blocks.size(); ++i)
      if (std::holds_alternative<Split>(description_.blocks[i]))
        state.set_aside(element_count(shapes_[i + 1]));
  }

  const FlowDescription description_;
  const std::vector<std::vector<int>> shapes_;  // before each block, and after the last
  const FlowLayout layout_;
  const std::size_t size_;  // of a sample
  const FixedRun run_;
  const std::unique_ptr<FlowDevice<Real>> device_;
  const ChainBorder<Real> border_;
  ParameterBuffers<Real> buffers_;
  std::uint64_t generation_ = 0;
  std::vector<std::unique_ptr<FlowBlock<Real>>> blocks_;  // behind the run
  std::vector<ContinuousBlock<Real>*> continuous_;        // those with dynamics
  std::vector<std::size_t> end_time_places_;              // of √T, one a CNF block
  mutable std::vector<Real> sqrt_end_times_;
  mutable bool end_times_moved_ = true;
  // Statistics to commit: blocks, and what they saw.
  std::vector<std::pair<FlowBlock<Real>*, std::shared_ptr<const BlockTape>>> pending_;
};

}  // namespace

template <class Real>
std::unique_ptr<Flow> make_flow(const FlowDescription& description,
                                std::optional<std::uint64_t> seed,
                                std::unique_ptr<FlowDevice<Real>> device) {
  return std::make_unique<HostFlow<Real>>(description, seed, std::move(device));
}

template std::unique_ptr<Flow> make_flow(const FlowDescription&, std::optional<std::uint64_t>,
                                         std::unique_ptr<FlowDevice<float>>);
template std::unique_ptr<Flow> make_flow(const FlowDescription&, std::optional<std::uint64_t>,
                                         std::unique_ptr<FlowDevice<double>>);

}  // namespace ffjord
