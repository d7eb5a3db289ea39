// The calls of a model: each reads its arguments, checks them, and makes the job that computes it.
#pragma once

#include <memory>

#include "binding/arguments.h"
#include "binding/environment.h"
#include "binding/job.h"

namespace ffjord::binding {

/// What a call is made on.
template <class Model>
struct JobContext {
  Napi::Env env;
  const Environment& environment;  // outlives every job
  std::shared_ptr<Model> model;
};
using FlowContext = JobContext<Flow>;

/// Reads the arguments of a call, with input arrays held as `use` says.
template <class Model>
using MakeJob = std::unique_ptr<Job>(const JobContext<Model>&, const Napi::CallbackInfo&,
                                     ArrayUse use);

// density_jobs.cc
MakeJob<Flow> log_prob_job, certify_job, score_job, sample_job, loss_job;
// solve_jobs.cc
MakeJob<Flow> solve_job, pullback_job, velocity_job, velocity_pullback_job, idle_job;

}  // namespace ffjord::binding
