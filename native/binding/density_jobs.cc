// logProb, certify, score, sample and loss.
#include "binding/handles.h"
#include "binding/jobs.h"
#include "binding/requests.h"
#include "binding/results.h"
#include "core/certify.h"
#include "core/objectives.h"

namespace ffjord::binding {
namespace {

// What these calls have in common: a request, and results that lie ready to be written.
class DensityJob : public FlowJob {
 protected:
  DensityJob(const FlowContext& context, const Fields& call)
      : FlowJob(context.model, StopHandle::of(call)),
        call_(solve_call(call, context.model->description())),
        results_(context.env, context.environment, call_.float64),
        batch_(call_.request.batch),
        size_(element_count(context.model->description().shape)) {}

  Napi::Value result(Napi::Env env) override {
    Napi::Object object = results_.object();
    define(object, "statistics", solve_statistics_object(env, solved_));
    return object;
  }

  SolveCall call_;
  Results results_;
  const std::size_t batch_, size_;  // B, D
  SolveResult solved_;
};

class LogProbJob : public DensityJob {
 public:
  LogProbJob(const FlowContext& context, const Fields& call, ArrayUse use)
      : DensityJob(context, call), log_prob_(results_.array("logProb", batch_)) {
    call_.take_rows(call, size_, use);
  }

 private:
  void compute(Flow& flow, const std::stop_token& stop) override {
    call_.request.stop = stop;
    solved_ = log_prob(flow, call_.request, log_prob_);
  }

  const Output log_prob_;  // (B)
};

class CertifyJob : public DensityJob {
 public:
  CertifyJob(const FlowContext& context, const Fields& call, ArrayUse use)
      : DensityJob(context, call),
        output_{results_.array("logProb", batch_), results_.array("probeError", batch_),
                results_.array("solverError", batch_), results_.array("roundTripError", batch_)} {
    call_.take_rows(call, size_, use);
  }

 private:
  void compute(Flow& flow, const std::stop_token& stop) override {
    call_.request.stop = stop;
    solved_ = certify(flow, call_.request, output_);
  }

  const CertifiedOutput output_;  // (B) each
};

class ScoreJob : public DensityJob {
 public:
  ScoreJob(const FlowContext& context, const Fields& call, ArrayUse use)
      : DensityJob(context, call), score_(results_.array("score", batch_ * size_)) {
    call_.take_rows(call, size_, use);
  }

 private:
  void compute(Flow& flow, const std::stop_token& stop) override {
    call_.request.stop = stop;
    solved_ = score(flow, call_.request, score_);
  }

  const Output score_;  // (B, shape)
};

class SampleJob : public DensityJob {
 public:
  SampleJob(const FlowContext& context, const Fields& call)
      : DensityJob(context, call),
        temperature_(call.number("temperature")),
        rows_(results_.array("rows", batch_ * size_)) {
    if (call.flag("logProb")) log_prob_ = results_.array("logProb", batch_);
  }

 private:
  void compute(Flow& flow, const std::stop_token& stop) override {
    call_.request.stop = stop;
    solved_ = sample(flow, call_.request, temperature_, rows_, log_prob_);
  }

  const double temperature_;
  const Output rows_;  // (B, shape)
  Output log_prob_;    // (B)
};

class LossJob : public DensityJob {
 public:
  LossJob(const FlowContext& context, const Fields& call, ArrayUse use)
      : DensityJob(context, call) {
    call_.request.training = true;
    if (call.flag("inputGradient")) rows_bar_ = results_.array("inputGradient", batch_ * size_);
    if (call.flag_or_false("contextGradient"))
      context_bar_ = results_.array("contextGradient", call_.context.size());
    call_.take_rows(call, size_, use);
  }

 private:
  void compute(Flow& flow, const std::stop_token& stop) override {
    call_.request.stop = stop;
    report_ = loss(flow, call_.request, call_.weights, rows_bar_, context_bar_);
  }

  Napi::Value result(Napi::Env env) override {
    Napi::Object object = results_.object();
    define(object, "loss", report_.loss);
    define(object, "negativeLogProb", report_.negative_log_prob);
    define(object, "regularisers",
           by_name(env, call_.request.settings.regularisers, report_.regularisers));
    define(object, "blockEvaluations", numbers(env, report_.block_evaluations));
    define(object, "forward", statistics_object(env, report_.forward));
    define(object, "backward", statistics_object(env, report_.backward));
    return object;
  }

  Output rows_bar_, context_bar_;  // (B, shape), (B, C)
  LossReport report_;
};

}  // namespace

std::unique_ptr<Job> log_prob_job(const FlowContext& context, const Napi::CallbackInfo& info,
                                  ArrayUse use) {
  return std::make_unique<LogProbJob>(context, Fields(info[0], "call"), use);
}

std::unique_ptr<Job> certify_job(const FlowContext& context, const Napi::CallbackInfo& info,
                                 ArrayUse use) {
  return std::make_unique<CertifyJob>(context, Fields(info[0], "call"), use);
}

std::unique_ptr<Job> score_job(const FlowContext& context, const Napi::CallbackInfo& info,
                               ArrayUse use) {
  return std::make_unique<ScoreJob>(context, Fields(info[0], "call"), use);
}

std::unique_ptr<Job> sample_job(const FlowContext& context, const Napi::CallbackInfo& info,
                                ArrayUse) {
  return std::make_unique<SampleJob>(context, Fields(info[0], "call"));
}

std::unique_ptr<Job> loss_job(const FlowContext& context, const Napi::CallbackInfo& info,
                              ArrayUse use) {
  return std::make_unique<LossJob>(context, Fields(info[0], "call"), use);
}

}  // namespace ffjord::binding
