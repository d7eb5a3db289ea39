#include "binding/vae_jobs.h"

#include <utility>

#include "binding/handles.h"
#include "binding/results.h"
#include "binding/vae_requests.h"

namespace ffjord::binding {
namespace {

using VaeJob = ModelJob<Vae>;

// What calls on images have in common.
class ImagesJob : public VaeJob {
 protected:
  ImagesJob(const VaeContext& context, const Fields& call)
      : VaeJob(context.model, StopHandle::of(call)),
        call_(vae_call(call, context.model->layout())),
        results_(context.env, context.environment, call_.float64),
        batch_(call_.request.batch),
        latent_(batch_ * context.model->layout().posterior.latent) {}

  VaeCall call_;
  Results results_;
  const std::size_t batch_, latent_;  // B, B L
};

void define_report(Napi::Env env, const Napi::Object& object, const ElboReport& report) {
  define(object, "reconstruction", report.reconstruction);
  define(object, "kl", report.kl);
  define(object, "forward", statistics_object(env, report.forward));
}

class ElboJob : public ImagesJob {
 public:
  ElboJob(const VaeContext& context, const Fields& call)
      : ImagesJob(context, call),
        output_{results_.array("reconstructions", batch_),
                results_.array("kls", batch_),
                results_.array("logDet", batch_),
                {},
                {},
                {},
                {}} {
    if (!call.flag("latent")) return;
    output_.mean = results_.array("mean", latent_);
    output_.variance = results_.array("variance", latent_);
    output_.z0 = results_.array("z0", latent_);
    output_.zk = results_.array("zk", latent_);
  }

 private:
  void compute(Vae& vae, const std::stop_token& stop) override {
    call_.request.stop = stop;
    report_ = vae.elbo(call_.request, output_);
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = results_.object();
    define_report(env, object, report_);
    return object;
  }

  VaeOutput output_;
  ElboReport report_;
};

class LossJob : public ImagesJob {
 public:
  LossJob(const VaeContext& context, const Fields& call)
      : ImagesJob(context, call), beta_(call.number("beta")) {}

 private:
  void compute(Vae& vae, const std::stop_token& stop) override {
    call_.request.stop = stop;
    report_ = vae.loss(call_.request, beta_);
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = results_.object();
    define(object, "loss", report_.reconstruction + beta_ * report_.kl);
    define_report(env, object, report_);
    define(object, "backward", statistics_object(env, report_.backward));
    return object;
  }

  const double beta_;
  ElboReport report_;
};

class EncodeJob : public ImagesJob {
 public:
  EncodeJob(const VaeContext& context, const Fields& call)
      : ImagesJob(context, call),
        mean_(results_.array("mean", latent_)),
        variance_(results_.array("variance", latent_)),
        h_(results_.array("h", batch_ * context.model->layout().condition())) {}

 private:
  void compute(Vae& vae, const std::stop_token& stop) override {
    call_.request.stop = stop;
    vae.encode(call_.request, mean_, variance_, h_);
  }
  Napi::Value result(Napi::Env) override { return results_.object(); }

  const Output mean_, variance_, h_;  // (B, L), (B, L), (B, H)
};

class LikelihoodJob : public ImagesJob {
 public:
  LikelihoodJob(const VaeContext& context, const Fields& call)
      : ImagesJob(context, call),
        samples_(call.integer("samples", 1, 0xFFFFFFFF)),
        clamp_(call.number("clamp")),
        output_{results_.array("logLikelihood", batch_), results_.array("meanLogWeight", batch_)} {
    if (!(clamp_ >= 0 && clamp_ < 0.5)) refuse("clamp must lie in [0, 0.5)");
  }

 private:
  void compute(Vae& vae, const std::stop_token& stop) override {
    call_.request.stop = stop;
    statistics_ = vae.log_likelihood(call_.request, samples_, clamp_, output_);
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = results_.object();
    define(object, "statistics", statistics_object(env, statistics_));
    return object;
  }

  const std::size_t samples_;
  const double clamp_;
  const LikelihoodOutput output_;  // (B) each
  SolveStatistics statistics_;
};

class DecodeJob : public VaeJob {
 public:
  DecodeJob(const VaeContext& context, const Fields& call)
      : VaeJob(context.model),
        results_(context.env, context.environment, call.flag_or_false("float64")),
        count_(call.integer("count", 1, 0xFFFFFFFF)),
        images_(results_.array("images", count_ * context.model->layout().image_size())) {
    if (call.has("draws")) draws_ = noise_request(call.object("draws"), 0).noise;
    z_ = call.array("z", ArrayUse::Copy);
    check_size(z_, call.path("z"), count_ * context.model->layout().posterior.latent);
  }

 private:
  void compute(Vae& vae, const std::stop_token&) override {
    vae.decode(count_, z_.view(), draws_, images_);
  }
  Napi::Value result(Napi::Env) override { return results_.object(); }

  Results results_;
  const std::size_t count_;
  const Output images_;  // (count, D)
  std::optional<Noise> draws_;
  HostArray z_;
};

template <class Made>
std::unique_ptr<Job> make(const VaeContext& context, const Napi::CallbackInfo& info) {
  return std::make_unique<Made>(context, Fields(info[0], "call"));
}

}  // namespace

std::unique_ptr<Job> elbo_job(const VaeContext& context, const Napi::CallbackInfo& info, ArrayUse) {
  return make<ElboJob>(context, info);
}

std::unique_ptr<Job> vae_loss_job(const VaeContext& context, const Napi::CallbackInfo& info,
                                  ArrayUse) {
  return make<LossJob>(context, info);
}

std::unique_ptr<Job> encode_job(const VaeContext& context, const Napi::CallbackInfo& info,
                                ArrayUse) {
  return make<EncodeJob>(context, info);
}

std::unique_ptr<Job> decode_job(const VaeContext& context, const Napi::CallbackInfo& info,
                                ArrayUse) {
  return make<DecodeJob>(context, info);
}

std::unique_ptr<Job> log_likelihood_job(const VaeContext& context, const Napi::CallbackInfo& info,
                                        ArrayUse) {
  return make<LikelihoodJob>(context, info);
}

}  // namespace ffjord::binding
