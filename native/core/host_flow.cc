#include "core/host_flow.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "core/chain_state.h"
#include "core/chain_tape.h"
#include "core/dataset_rows.h"
#include "core/end_cotangents.h"
#include "core/fixed_run.h"
#include "core/flow_buffers.h"
#include "core/trajectory.h"
#include "core/transform_block.h"

namespace ffjord {
namespace {

/// Leaves the values where they are if nobody wants them.
template <class Real>
void hand_over(const RowValues<Real>& values, const Output& output) {
  if (!output.empty()) output.assign(std::span<const Real>(values.read()));
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
        fixed_(description_, shapes_),
        device_(std::move(device)),
        buffers_(description_, layout_, seed, *device_) {
    for (std::size_t i = 0; i < description_.blocks.size(); ++i) {
      const Block& block = description_.blocks[i];
      const auto* cnf = std::get_if<Cnf>(&block);
      continuous_.push_back(
          cnf ? device_->make_block({*cnf, shapes_[i], layout_.blocks[i],
                                     buffers_.effective_weights(), description_.context})
              : nullptr);
      transforms_.emplace_back();
      if (cnf) {
        cnf_blocks_.push_back(i);
        end_time_places_.push_back(layout_.blocks[i].sqrt_end_time);
      } else {
        transforms_[i].emplace(block, shapes_[i], layout_.blocks[i], buffers_.parameters(),
                               buffers_.statistics());
      }
    }
    parameters_changed();
  }

  const FlowDescription& description() const override { return description_; }
  const ParameterLayout& layout() const override { return layout_; }
  double epsilon() const override { return std::numeric_limits<Real>::epsilon(); }

  std::vector<double> end_times() const override {
    std::vector<double> times;
    for (double root : sqrt_end_times_) times.push_back(root * root);
    return times;
  }

  void read(Buffer buffer, const Output& values) const override { buffers_.read(buffer, values); }
  void write(Buffer buffer, const Input& values) override {
    if (buffers_.write(buffer, values)) parameters_changed();
  }
  void zero_gradients() override { buffers_.zero_gradients(); }

  SolveResult solve(const SolveRequest& request, const SolveOutput& output) override {
    require(request.batch > 0, "the batch is empty");
    const Settings& settings = request.settings;
    require_supported(settings.solver, settings.gradient, settings.regularisers, request.keep_tape);
    require(settings.steer >= 0 && settings.steer < 1, "steer must lie in [0, 1)");
    require(settings.steer == 0 || !request.training || request.times.empty(),
            "a trajectory has fixed times; ask for it without steer");
    const bool reverse = request.direction == Direction::Reverse;

    ChainState<Real> state =
        zero_state(request.batch, static_cast<int>(settings.regularisers.count()));
    BatchGather<Real> gather(*device_);
    auto tape = std::make_unique<ChainTape<Real>>(zeros(request.batch * description_.context.size));
    Exact exact;
    put_rows(request, state, gather, *tape, exact);
    put_contexts(request, tape->context, gather);
    gather.run();
    if (reverse) set_splits_aside(state);

    SolveResult result;
    tape->batch = request.batch;
    tape->share = request.share;
    tape->direction = request.direction;
    tape->regularisers = request.settings.regularisers.count();
    tape->generation = generation_;
    tape->of_dataset = request.rows.set != nullptr;
    tape->steps.resize(description_.blocks.size());

    auto trajectory = make_trajectory(request, output);
    for (std::size_t step = fixed_.size(); step < description_.blocks.size(); ++step) {
      const std::size_t i = reverse ? fixed_.size() + description_.blocks.size() - 1 - step : step;
      if (continuous_[i]) {
        solve_continuous(i, request, state, tape->context, trajectory, result, tape->steps[i]);
        continue;
      }
      if (!reverse && is_bounded(description_.blocks[i])) settle_outside(i, request, state, exact);
      tape->steps[i] =
          transforms_[i]->solve(reverse, request.training, request.keep_tape, request.share, state);
    }
    while (!state.aside.empty()) state.collect();

    if (reverse)
      hand_over_data(request, state, *tape, output);
    else
      hand_over_base(state, exact, output);
    hand_over(state.regularisers, output.regularisers);
    if (request.training && !reverse) set_pending(*tape);
    if (request.keep_end) tape->end = std::move(state);
    if (request.keep_tape) result.tape = std::move(tape);
    return result;
  }

  PendingMeans likelihood(const Tape& any_tape) override {
    return likelihood_at_end(*device_, dynamic_cast<const ChainTape<Real>&>(any_tape));
  }

  SolveStatistics pullback(const Tape& any_tape, const PullbackRequest& request) override {
    const auto& tape = dynamic_cast<const ChainTape<Real>&>(any_tape);
    require(tape.generation == generation_,
            "the weights changed since the solve; solve again before this pullback");

    ChainState<Real> bar = zero_state(tape.batch, tape.regularisers);
    const bool reverse = tape.direction == Direction::Reverse;
    if (request.likelihood)
      set_likelihood_bars(*device_, tape, *request.likelihood, bar);
    else if (reverse && !fixed_.empty())
      set_given_bars(behind_fixed(tape, request).request, bar);
    else
      set_given_bars(request, bar);
    if (!reverse) set_splits_aside(bar);

    std::vector<Real> context_bar(request.context_bar.size(), Real(0));
    require(context_bar.empty() || context_bar.size() == tape.context.size(),
            "context_bar must have the shape of the context");

    SolveStatistics statistics;
    FlatBuffer<Real>* const gradients = buffers_.begin_gradients(request.parameters);
    require(request.rows_bar.empty() || fixed_.empty() || !tape.of_dataset,
            "the rows of this data set stay behind the flow's first transforms");
    for (std::size_t step = fixed_.size(); step < description_.blocks.size(); ++step) {
      const std::size_t i = reverse ? step : fixed_.size() + description_.blocks.size() - 1 - step;
      if (continuous_[i]) {
        SolveStatistics one;
        continuous_[i]->pullback(*std::get<std::unique_ptr<BlockTape>>(tape.steps[i]),
                                 block_rows(bar, tape.context, context_bar), values_of(gradients),
                                 one);
        statistics.add(one);
      } else {
        transforms_[i]->pullback(reverse, tape.steps[i], tape.share, bar, gradients);
      }
    }
    while (!bar.aside.empty()) bar.collect();
    buffers_.end_gradients(gradients);
    if (!reverse) hand_over(bar.z, request.first_bar);
    if (reverse || fixed_.empty())
      hand_over(bar.z, request.rows_bar);
    else
      hand_over_rows_bar(tape, bar, request.rows_bar);
    request.context_bar.assign(std::span<const Real>(context_bar));
    return statistics;
  }

  void velocity(const VelocityRequest& request, const Output& f,
                const Output& divergence) override {
    const Point point(*this, request, !divergence.empty());
    std::vector<Real> f_values(point.z.size()), divergence_values(divergence.size());
    point.block.velocity(point.view(), f_values, divergence_values);
    f.assign(std::span<const Real>(f_values));
    divergence.assign(std::span<const Real>(divergence_values));
  }

  void velocity_pullback(const VelocityRequest& request, const Input& f_bar,
                         const Input& divergence_bar, bool parameters,
                         const Output& z_bar) override {
    const Point point(*this, request, !divergence_bar.empty());
    require(f_bar.size() == point.z.size(), "f_bar must have the shape of z");
    require(divergence_bar.empty() || divergence_bar.size() == request.batch,
            "divergence_bar needs one number a row");
    require(request.context_bar.empty() || request.context_bar.size() == point.context.size(),
            "context_bar must have the shape of the context");
    const auto f_values = f_bar.template as<Real>();
    const auto divergence_values = divergence_bar.template as<Real>();
    std::vector<Real> z_values(z_bar.size()), context_values(request.context_bar.size());
    FlatBuffer<Real>* const gradients = buffers_.begin_gradients(parameters);
    point.block.velocity_pullback(
        point.view(),
        {f_values, divergence_values, z_values, context_values, values_of(gradients), {}});
    buffers_.end_gradients(gradients);
    z_bar.assign(std::span<const Real>(z_values));
    request.context_bar.assign(std::span<const Real>(context_values));
  }

  StepReport step(const OptimizerOptions& options) override {
    const StepReport report{buffers_.step(options)};
    for (const auto& [block, moments] : pending_) transforms_[block]->commit_statistics(moments);
    pending_.clear();
    parameters_changed();
    return report;
  }

  std::unique_ptr<Rows> upload(std::size_t count, const Input& rows) override {
    require(count > 0 && rows.size() == count * size_,
            "rows must hold " + std::to_string(size_) + " values each");
    return std::make_unique<DatasetRows<Real>>(*device_, count, rows, &fixed_,
                                               device_->has_room(rows.size() + count));
  }

  std::unique_ptr<Rows> upload_contexts(std::size_t count, const Input& contexts) override {
    const std::size_t size = description_.context.size;
    require(count > 0 && size > 0 && contexts.size() == count * size,
            "contexts must hold " + std::to_string(size) + " values each");
    return std::make_unique<DatasetRows<Real>>(*device_, count, contexts, nullptr,
                                               device_->has_room(contexts.size()));
  }

  void gather(const Rows& any_rows, std::span<const std::uint32_t> indices,
              const Output& target) const override {
    const auto& rows = DatasetRows<Real>::of(any_rows, indices);
    require(target.size() == indices.size() * rows.width(),
            "the target must hold the gathered rows");
    std::vector<Real> batch(target.size());
    gather_rows<Real>(rows.values().read(), indices, rows.width(), batch);
    target.assign(std::span<const Real>(batch));
  }

 private:
  // One CNF block at given states.
  struct Point {
    Point(HostFlow& flow, const VelocityRequest& request, bool with_divergence)
        : block(flow.cnf(request.block)),
          request(request),
          z(request.z.template as<Real>()),
          context(flow.context_of(request.context, request.batch)) {
      const std::size_t i = flow.cnf_blocks_[request.block];
      require(request.batch > 0, "the batch is empty");
      require(z.size() == request.batch * element_count(flow.shapes_[i]),
              "z must hold one state a row");
      require(request.times.size() == 1 || request.times.size() == request.batch,
              "times needs one entry, or one a row");
      const auto& net = std::get<Cnf>(flow.description_.blocks[i]).net;
      plan = plan_trace(net, flow.shapes_[i], request.trace, {});
      if (with_divergence)
        noise =
            noise_of(request.noise, request.noise.given.empty() ? Input() : request.noise.given[0],
                     request.z, request.block, plan, request.batch, z.size() / request.batch);
    }
    BlockPoint<Real> view() const {
      return {plan, request.times, request.batch, z, noise, context};
    }
    ContinuousBlock<Real>& block;
    const VelocityRequest& request;
    std::vector<Real> z, context;
    TracePlan plan;
    BlockNoise<Real> noise;
  };

  RowValues<Real> zeros(std::size_t count) const { return RowValues<Real>::zeros(*device_, count); }

  // What float64 knows of a forward solve, and the engine's numbers do not.
  struct Exact {
    std::vector<double> rest;  // Δlogp of the fixed run less what it was rounded to; or empty
    std::vector<std::size_t> outside;  // rows of the batch with a density of 0
  };

  // What goes into the first block with weights, in place of zeros. Rows of a data set are gathered
  // where it reads them.
  void put_rows(const SolveRequest& request, ChainState<Real>& state, BatchGather<Real>& gather,
                ChainTape<Real>& tape, Exact& exact) const {
    const bool reverse = request.direction == Direction::Reverse;
    if (request.rows.set) {
      const std::span<const std::uint32_t> indices = request.rows.indices;
      const auto& rows = DatasetRows<Real>::of(*request.rows.set, indices);
      require(!reverse && !rows.is_context() && indices.size() == request.batch,
              "a batch of a data set needs an index a row, and goes from data to base");
      const bool on_device =
          rows.stays() && fixed_.size() < continuous_.size() && continuous_[fixed_.size()];
      gather.add(rows.values(), indices, on_device, state.z);
      if (const auto* delta_logp = rows.delta_logp()) {
        gather.add(*delta_logp, indices, on_device, state.delta_logp);
        for (std::uint32_t index : indices) exact.rest.push_back(rows.rest()[index]);
      }
      return;
    }
    const Input& given = request.rows.given;
    require(given.size() == state.z.size(),
            "rows must hold batch × " + std::to_string(size_) + " values");
    if (reverse || fixed_.empty()) {
      state.z = {*device_, rounded_to<Real>(given, size_)};
      return;
    }
    std::vector<double> rows = given.template as<double>();
    exact.rest.resize(request.batch);
    exact.outside = fixed_.map({request.batch, size_, rows, exact.rest}, request.outside,
                               request.keep_tape ? &tape.fixed : nullptr);
    state.z = {*device_, rounded_to<Real>(rows, size_)};
    const std::span<Real> delta_logp = state.delta_logp.on_host();
    for (std::size_t b = 0; b < request.batch; ++b) {
      delta_logp[b] = static_cast<Real>(exact.rest[b]);
      exact.rest[b] -= double(delta_logp[b]);
    }
  }

  // Rows that block i, which has blocks with weights before it, does not map.
  void settle_outside(std::size_t i, const SolveRequest& request, ChainState<Real>& state,
                      Exact& exact) const {
    const Block& block = description_.blocks[i];
    const auto found = find_outside(block, state.rows());
    if (found.empty()) return;
    std::vector<std::size_t> rows;
    for (const OutsideElement& one : found) rows.push_back(request.rows.number_of(one.row));
    if (request.outside == Outside::Refuse)
      throw OutsideSupport(rows, reason_outside(block, i, found.front(), true), true);
    move_inside(block, found, state.rows());
    exact.outside.insert(exact.outside.end(), rows.begin(), rows.end());
  }

  void hand_over_base(const ChainState<Real>& state, const Exact& exact,
                      const SolveOutput& output) const {
    hand_over(state.z, output.z);
    if (output.delta_logp.empty()) return;
    if (exact.rest.empty() && exact.outside.empty()) {
      hand_over(state.delta_logp, output.delta_logp);
      return;
    }
    const std::vector<Real>& rounded = state.delta_logp.read();
    std::vector<double> delta_logp(rounded.begin(), rounded.end());
    for (std::size_t b = 0; b < exact.rest.size(); ++b) delta_logp[b] += exact.rest[b];
    for (std::size_t row : exact.outside) delta_logp[row] = std::numeric_limits<double>::infinity();
    output.delta_logp.assign(std::span<const double>(delta_logp));
  }

  // The end of a reverse solve.
  void hand_over_data(const SolveRequest& request, ChainState<Real>& state, ChainTape<Real>& tape,
                      const SolveOutput& output) const {
    if (fixed_.empty()) {
      hand_over(state.z, output.z);
      hand_over(state.delta_logp, output.delta_logp);
      return;
    }
    const auto widened = [](const std::vector<Real>& values) {
      return std::vector<double>(values.begin(), values.end());
    };
    std::vector<double> rows = widened(state.z.read());
    std::vector<double> delta_logp = widened(state.delta_logp.read());
    fixed_.invert({request.batch, size_, rows, delta_logp},
                  request.keep_tape ? &tape.fixed : nullptr);
    fixed_.hand_over(request.batch, rows, output.z);
    output.delta_logp.assign(std::span<const double>(delta_logp));
  }

  // The cotangents of a reverse solve's rows as those of what the fixed run inverted.
  struct BehindFixed {
    std::vector<double> z_bar;
    PullbackRequest request;  // a view of z_bar
  };
  BehindFixed behind_fixed(const ChainTape<Real>& tape, const PullbackRequest& given) const {
    require(given.z_bar.size() == tape.batch * size_, "z_bar must have the shape of z");
    require(given.delta_logp_bar.empty() || given.delta_logp_bar.size() == tape.batch,
            "delta_logp_bar needs one number a row");
    BehindFixed behind{given.z_bar.template as<double>(), given};
    std::vector<double> delta_logp_bar = given.delta_logp_bar.template as<double>();
    delta_logp_bar.resize(tape.batch);
    fixed_.pull_back(true, tape.fixed, {tape.batch, size_, behind.z_bar, delta_logp_bar});
    behind.request.z_bar = behind.z_bar;
    return behind;
  }

  void hand_over_rows_bar(const ChainTape<Real>& tape, const ChainState<Real>& bar,
                          const Output& rows_bar) const {
    if (rows_bar.empty()) return;
    const std::vector<Real>&z_bar = bar.z.read(), &delta_logp_bar = bar.delta_logp.read();
    std::vector<double> rows(z_bar.begin(), z_bar.end());
    std::vector<double> delta_logp(delta_logp_bar.begin(), delta_logp_bar.end());
    fixed_.pull_back(false, tape.fixed, {tape.batch, size_, rows, delta_logp});
    rows_bar.assign(std::span<const double>(rows));
  }

  // The contexts of a batch, in place of zeros: for blocks that read them on the device.
  void put_contexts(const SolveRequest& request, RowValues<Real>& context,
                    BatchGather<Real>& gather) const {
    if (!request.context.set) {
      context = {*device_, context_of(request.context.given, request.batch)};
      return;
    }
    const std::span<const std::uint32_t> indices = request.context.indices;
    const auto& rows = DatasetRows<Real>::of(*request.context.set, indices);
    require(rows.is_context() && indices.size() == request.batch,
            "a batch of a data set needs an index a row, and its contexts");
    gather.add(rows.values(), indices, rows.stays(), context);
  }

  static BlockRows<Real> block_rows(ChainState<Real>& state, const RowValues<Real>& context,
                                    std::span<Real> context_bar) {
    return {state.batch,
            state.z.on_device(),
            state.delta_logp.on_device(),
            state.regularisers.on_device(),
            context.read_on_device(),
            context_bar};
  }

  // (B, C), checked.
  std::vector<Real> context_of(const Input& context, std::size_t batch) const {
    const std::size_t size = description_.context.size;
    if (size == 0) {
      require(context.empty(), "this flow takes no context; leave it out");
    } else {
      require(context.size() == batch * size, "this flow is conditional: give a context of " +
                                                  std::to_string(size) + " numbers a row");
    }
    return context.template as<Real>();
  }

  ChainState<Real> zero_state(std::size_t batch, int regularisers) const {
    return {batch, zeros(batch * size_), zeros(batch), zeros(batch * regularisers), {}};
  }

  // What this training solve saw is committed with the optimizer's next step.
  void set_pending(const ChainTape<Real>& tape) {
    pending_.clear();
    for (std::size_t i = 0; i < tape.steps.size(); ++i)
      if (const auto* norm = std::get_if<BatchNormTape<Real>>(&tape.steps[i]))
        pending_.emplace_back(i, norm->moments);
  }

  Trajectory<Real> make_trajectory(const SolveRequest& request, const SolveOutput& output) const {
    for (const auto& shape : shapes_)
      require(request.times.empty() || shape == shapes_.front(),
              "a flow with squeeze or split has no trajectory");
    return {end_times(), request, output, size_};
  }

  static std::span<Real> values_of(FlatBuffer<Real>* buffer) {
    return buffer ? buffer->values() : std::span<Real>();
  }

  // STEER's factor of a block's end time: its draw stands beside the noise of the same call.
  static double end_time_factor(const SolveRequest& request, std::uint32_t cnf) {
    const double steer = request.settings.steer;
    if (steer == 0 || !request.training) return 1;
    const NoiseKey key{request.noise.seed, request.noise.call, kEndTimeBlock, 0};
    return 1 + steer * (2 * double(draw4(NoiseLaw::Uniform, key, cnf, 0)[0]) - 1);
  }

  void parameters_changed() {
    ++generation_;
    buffers_.update_effective_weights();
    sqrt_end_times_ = buffers_.parameters().at(end_time_places_);
    for (auto& block : continuous_)
      if (block) block->parameters_changed();
  }

  ContinuousBlock<Real>& cnf(int number) {
    require(number >= 0 && std::size_t(number) < cnf_blocks_.size(),
            "this flow has " + std::to_string(cnf_blocks_.size()) + " CNF blocks, counted from 0");
    return *continuous_[cnf_blocks_[number]];
  }

  // ε of one CNF block on rows of `dimension`; `rows` are those of the call.
  static BlockNoise<Real> noise_of(const Noise& noise, const Input& given, const Input& rows,
                                   std::uint32_t cnf, const TracePlan& plan, std::size_t batch,
                                   std::size_t dimension) {
    require(
        given.empty() || plan.draws_noise(),
        "noise was given, but the trace is " + describe(plan) + "; ask for trace: { noise: … }");
    if (!plan.draws_noise()) return {};
    BlockNoise<Real> eps{plan.probes,
                         batch,
                         plan.noise_size(dimension),
                         plan.noise,
                         {noise.seed, noise.call, cnf, 0},
                         noise.row_offset,
                         keys_of(noise, rows, batch),
                         given.template as<Real>()};
    require(given.empty() || given.size() == eps.size(),
            "noise of CNF block " + std::to_string(cnf) + " must hold " +
                std::to_string(eps.size()) +
                " values (probes × batch × dimension, or the width of a bottleneck), not " +
                std::to_string(given.size()));
    return eps;
  }

  void solve_continuous(std::size_t i, const SolveRequest& request, ChainState<Real>& state,
                        const RowValues<Real>& context, Trajectory<Real>& trajectory,
                        SolveResult& result, StepTape<Real>& tape) {
    const auto number = static_cast<std::uint32_t>(
        std::find(cnf_blocks_.begin(), cnf_blocks_.end(), i) - cnf_blocks_.begin());
    const auto& net = std::get<Cnf>(description_.blocks[i]).net;
    const Settings& settings = request.settings;
    const BlockPlan plan{settings.solver,
                         settings.gradient,
                         plan_trace(net, shapes_[i], settings.trace, settings.regularisers),
                         settings.regularisers,
                         sqrt_end_times_[number],
                         end_time_factor(request, number),
                         request.stop,
                         request.share};
    const auto& given = request.noise.given;
    const BlockNoise<Real> noise =
        noise_of(request.noise, number < given.size() ? given[number] : Input(), request.rows.given,
                 number, plan.trace, state.batch, state.z.size() / state.batch);
    const BlockTrajectory<Real> stops = trajectory.enter(number);
    SolveStatistics statistics;
    try {
      tape = continuous_[i]->solve(plan, request.direction == Direction::Reverse,
                                   block_rows(state, context, {}), noise, request.keep_tape,
                                   stops.times.empty() ? nullptr : &stops, statistics);
    } catch (SolveFailure& failure) {
      failure.block = static_cast<int>(i);
      throw;
    }
    trajectory.leave();
    statistics.smallest_step_block = static_cast<int>(i);
    result.block_stiffness.push_back(statistics.stiffness());
    result.statistics.add(statistics);
    result.block_evaluations.push_back(statistics.evaluations);
    result.traces.push_back(describe(plan.trace));
  }

  // Base side → moving part and parts aside: z is [first half out, …, last].
  void set_splits_aside(ChainState<Real>& state) const {
    for (std::size_t i = 0; i < description_.blocks.size(); ++i)
      if (std::holds_alternative<Split>(description_.blocks[i]))
        state.set_aside(element_count(shapes_[i + 1]));
  }

  const FlowDescription description_;
  const std::vector<std::vector<int>> shapes_;  // before each block, and after the last
  const ParameterLayout layout_;
  const std::size_t size_;  // of a sample
  const FixedRun fixed_;
  const std::unique_ptr<FlowDevice<Real>> device_;
  FlowBuffers<Real> buffers_;
  std::uint64_t generation_ = 0;
  std::vector<std::pair<std::size_t, BatchMoments>> pending_;       // batch statistics to commit
  std::vector<std::unique_ptr<ContinuousBlock<Real>>> continuous_;  // null where a transform stands
  std::vector<std::optional<TransformBlock<Real>>> transforms_;     // empty where a CNF stands
  std::vector<std::size_t> cnf_blocks_;
  std::vector<std::size_t> end_time_places_;  // of √T, one a CNF block
  std::vector<Real> sqrt_end_times_;
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
