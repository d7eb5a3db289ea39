// solve and pullback, velocity and velocityPullback, and idle.
#include "binding/handles.h"
#include "binding/jobs.h"
#include "binding/requests.h"
#include "binding/results.h"

namespace ffjord::binding {
namespace {

constexpr Choices<Direction, 2> kDirections{
    {{"forward", Direction::Forward}, {"reverse", Direction::Reverse}}};

class SolveJob : public FlowJob {
 public:
  SolveJob(const FlowContext& context, const Fields& fields, ArrayUse use)
      : FlowJob(context.model, StopHandle::of(fields)),
        environment_(context.environment),
        call_(solve_call(fields, context.model->description())),
        results_(context.env, context.environment, call_.float64),
        batch_(call_.request.batch),
        size_(element_count(context.model->description().shape)) {
    SolveRequest& request = call_.request;
    request.direction = fields.choice("direction", kDirections);
    request.training = fields.flag("training");
    request.keep_tape = fields.flag("keepTape");
    output_.z = results_.array("z", batch_ * size_);
    output_.delta_logp = results_.array("deltaLogp", batch_);
    output_.regularisers = results_.array("regularisers", batch_ * regularisers());
    if (fields.has("times")) {
      request.times = fields.doubles("times");
      const std::size_t states = request.times.size() * batch_;
      output_.trajectory = results_.array("trajectory", states * size_);
      output_.trajectory_delta_logp = results_.array("trajectoryDeltaLogp", states);
    }
    call_.take_rows(fields, size_, use);
  }

 private:
  void compute(Flow& flow, const std::stop_token& stop) override {
    call_.request.stop = stop;
    solved_ = flow.solve(call_.request, output_);
  }

  Napi::Value result(Napi::Env env) override {
    Napi::Object object = results_.object();
    define(object, "statistics", solve_statistics_object(env, solved_));
    if (!solved_.tape) return object;
    const std::size_t bytes = tape_bytes();
    auto kept = std::make_shared<const KeptTape>(
        KeptTape{model(), std::move(solved_.tape), batch_, regularisers(), stop()});
    define(object, "tape", TapeHandle::create(environment_.tape_class(), std::move(kept), bytes));
    return object;
  }

  std::size_t regularisers() const {
    return static_cast<std::size_t>(call_.request.settings.regularisers.count());
  }

  // The states at accepted steps, more or less, and what blocks keep beside: what garbage
  // collection is told.
  std::size_t tape_bytes() const {
    const auto states = static_cast<std::size_t>(solved_.statistics.accepted) + 1;
    return states * batch_ * (size_ + 1) * sizeof(float) + solved_.tape->kept_bytes();
  }

  const Environment& environment_;
  SolveCall call_;
  Results results_;
  const std::size_t batch_, size_;  // B, D
  SolveOutput output_;
  SolveResult solved_;
};

class PullbackJob : public FlowJob {
 public:
  PullbackJob(const FlowContext& context, std::shared_ptr<const KeptTape> kept, const Fields& call)
      : FlowJob(context.model, kept->stop),
        kept_(std::move(kept)),
        z_bar_(call.array("zBar", ArrayUse::Copy)),
        delta_logp_bar_(call.array_or_empty("deltaLogpBar", ArrayUse::Copy)),
        regularisers_bar_(call.array_or_empty("regularisersBar", ArrayUse::Copy)),
        results_(context.env, context.environment, call.flag_or_false("float64")) {
    const std::size_t size = kept_->batch * element_count(context.model->description().shape);
    check_size(z_bar_, call.path("zBar"), size);
    if (delta_logp_bar_.size() > 0)
      check_size(delta_logp_bar_, call.path("deltaLogpBar"), kept_->batch);
    if (regularisers_bar_.size() > 0)
      check_size(regularisers_bar_, call.path("regularisersBar"),
                 kept_->batch * kept_->regularisers);
    request_.z_bar = z_bar_.view();
    request_.delta_logp_bar = delta_logp_bar_.view();
    request_.regularisers_bar = regularisers_bar_.view();
    request_.parameters = call.flag("parameters");
    request_.rows_bar = results_.array("rowsBar", size);
    if (call.flag_or_false("contextGradient"))
      request_.context_bar =
          results_.array("contextBar", context_size(context.model->description(), kept_->batch));
  }

 private:
  void compute(Flow& flow, const std::stop_token&) override {
    statistics_ = flow.pullback(*kept_->tape, request_);
  }

  Napi::Value result(Napi::Env env) override {
    Napi::Object object = results_.object();
    define(object, "statistics", statistics_object(env, statistics_));
    return object;
  }

  const std::shared_ptr<const KeptTape> kept_;
  const HostArray z_bar_, delta_logp_bar_, regularisers_bar_;  // (B, D), (B), (B, R)
  Results results_;
  PullbackRequest request_;
  SolveStatistics statistics_;
};

// The field is trained on [0, T], where steered up to T (1 + steer); beyond, it is a net's guess.
// Times that rounding put outside pass.
void check_times(const Flow& flow, const VelocityCall& call) {
  constexpr double kRounding = 1e-5;
  const double end = flow.end_times()[call.request.block];
  const double least = -kRounding * end, most = (1 + call.steer + kRounding) * end;
  for (double t : call.request.times)
    if (!(t >= least && t <= most))
      refuse("t is " + std::to_string(t) + ", and the field of this block is trained from 0 to " +
             std::to_string((1 + call.steer) * end) + "; give times in between");
}

class VelocityJob : public FlowJob {
 public:
  VelocityJob(const FlowContext& context, const Fields& fields)
      : FlowJob(context.model),
        call_(velocity_call(fields, context.model->description())),
        results_(context.env, context.environment, call_.float64),
        f_(results_.array("f", call_.z.size())) {
    if (fields.flag("divergence")) divergence_ = results_.array("divergence", call_.request.batch);
  }

 private:
  void compute(Flow& flow, const std::stop_token&) override {
    check_times(flow, call_);
    flow.velocity(call_.request, f_, divergence_);
  }
  Napi::Value result(Napi::Env) override { return results_.object(); }

  const VelocityCall call_;
  Results results_;
  const Output f_;     // (B, D)
  Output divergence_;  // (B)
};

class VelocityPullbackJob : public FlowJob {
 public:
  VelocityPullbackJob(const FlowContext& context, const Fields& fields)
      : FlowJob(context.model),
        call_(velocity_call(fields, context.model->description())),
        f_bar_(fields.array("fBar", ArrayUse::Copy)),
        divergence_bar_(fields.array_or_empty("divergenceBar", ArrayUse::Copy)),
        parameters_(fields.flag("parameters")),
        results_(context.env, context.environment, call_.float64),
        z_bar_(results_.array("zBar", call_.z.size())) {
    if (fields.flag_or_false("contextGradient"))
      call_.request.context_bar = results_.array("contextBar", call_.context.size());
    check_size(f_bar_, fields.path("fBar"), call_.z.size());
    if (divergence_bar_.size() > 0)
      check_size(divergence_bar_, fields.path("divergenceBar"), call_.request.batch);
  }

 private:
  void compute(Flow& flow, const std::stop_token&) override {
    check_times(flow, call_);
    flow.velocity_pullback(call_.request, f_bar_.view(), divergence_bar_.view(), parameters_,
                           z_bar_);
  }
  Napi::Value result(Napi::Env) override { return results_.object(); }

  VelocityCall call_;
  const HostArray f_bar_, divergence_bar_;  // (B, D), (B)
  const bool parameters_;
  Results results_;
  const Output z_bar_;  // (B, D)
};

class IdleJob : public FlowJob {
 public:
  using FlowJob::FlowJob;

 private:
  void compute(Flow&, const std::stop_token&) override {}
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }
};

}  // namespace

std::unique_ptr<Job> solve_job(const FlowContext& context, const Napi::CallbackInfo& info,
                               ArrayUse use) {
  return std::make_unique<SolveJob>(context, Fields(info[0], "call"), use);
}

std::unique_ptr<Job> pullback_job(const FlowContext& context, const Napi::CallbackInfo& info,
                                  ArrayUse) {
  return std::make_unique<PullbackJob>(context, TapeHandle::of(info[0], context.model.get()),
                                       Fields(info[1], "call"));
}

std::unique_ptr<Job> velocity_job(const FlowContext& context, const Napi::CallbackInfo& info,
                                  ArrayUse) {
  return std::make_unique<VelocityJob>(context, Fields(info[0], "call"));
}

std::unique_ptr<Job> velocity_pullback_job(const FlowContext& context,
                                           const Napi::CallbackInfo& info, ArrayUse) {
  return std::make_unique<VelocityPullbackJob>(context, Fields(info[0], "call"));
}

std::unique_ptr<Job> idle_job(const FlowContext& context, const Napi::CallbackInfo&, ArrayUse) {
  return std::make_unique<IdleJob>(context.model);
}

}  // namespace ffjord::binding
