// step and train, of whatever model: what is a flow's or an autoencoder's own comes as a lesson.
#pragma once

#include <utility>
#include <vector>

#include "binding/group_object.h"
#include "binding/handles.h"
#include "binding/jobs.h"
#include "binding/requests.h"
#include "binding/values.h"
#include "core/training.h"

namespace ffjord::binding {

/// The arguments that every burst has. Called with how many `rows` there are to learn from.
struct BurstCall {
  Burst burst;  ///< views into what follows
  std::vector<std::uint32_t> indices, batch_sizes;
  std::vector<double> learning_rates;
  RegulariserWeights weights;
};
BurstCall burst_call(const Fields& burst, std::size_t rows);

/// Throws unless a list of the burst has one entry a batch.
void check_batches(const Fields& burst, const char* name, std::size_t entries, std::size_t batches);

void define_iteration(const Napi::Object& object, const IterationRecord& record);

template <class Model>
class StepJob : public ModelJob<Model> {
 public:
  StepJob(const JobContext<Model>& context, const OptimizerOptions& options)
      : ModelJob<Model>(context.model), options_(options) {}

 private:
  void compute(Model& model, const std::stop_token&) override { norm_ = model.step(options_)(); }
  Napi::Value result(Napi::Env env) override {
    auto object = Napi::Object::New(env);
    define(object, "gradientNorm", norm_);
    return object;
  }

  const OptimizerOptions options_;
  double norm_ = 0;
};

/// `Lesson` holds a model's own arguments, and has: `Model` and `Record`; a constructor from the
/// call and the model; `row_count`; `check`, with how many batches there are; `train`; and
/// `define_own`, which adds to the object of a record.
template <class Lesson>
class TrainJob : public ModelJob<typename Lesson::Model> {
 public:
  using Model = typename Lesson::Model;

  TrainJob(const JobContext<Model>& context, const Fields& call)
      : TrainJob(context, call, StopHandle::of(call), GroupObject::of(call)) {}

 private:
  // Where others wait for this rank, a stop is told to them and does not drop the call.
  TrainJob(const JobContext<Model>& context, const Fields& call, const std::stop_source& stop,
           std::shared_ptr<Group> group)
      : ModelJob<Model>(context.model, group ? std::stop_source() : stop),
        group_(std::move(group)),
        stop_(stop.get_token()),
        lesson_(call, context.model.get()),
        call_(burst_call(call, lesson_.row_count())) {
    lesson_.check(call, call_.batch_sizes.size());
    call_.burst.group = group_.get();
    call_.burst.stop = stop_;
  }

  void compute(Model& model, const std::stop_token&) override {
    records_ = lesson_.train(model, call_);
  }
  Napi::Value result(Napi::Env env) override {
    return array_of(env, records_, [&](const typename Lesson::Record& record) {
      auto object = Napi::Object::New(env);
      define_iteration(object, record);
      lesson_.define_own(object, record, call_);
      return object;
    });
  }

  const std::shared_ptr<Group> group_;
  const std::stop_token stop_;
  const Lesson lesson_;
  BurstCall call_;
  std::vector<typename Lesson::Record> records_;
};

template <class Model>
std::unique_ptr<Job> step_job(const JobContext<Model>& context, const Napi::CallbackInfo& info,
                              ArrayUse) {
  return std::make_unique<StepJob<Model>>(context, optimizer_options(Fields(info[0], "optimizer")));
}

template <class Lesson>
std::unique_ptr<Job> train_job(const JobContext<typename Lesson::Model>& context,
                               const Napi::CallbackInfo& info, ArrayUse) {
  return std::make_unique<TrainJob<Lesson>>(context, Fields(info[0], "burst"));
}

}  // namespace ffjord::binding
