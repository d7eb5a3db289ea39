// The calls of a flow: each reads its arguments, checks them, and makes the job that computes it.
#pragma once

#include <memory>

#include "binding/arguments.h"
#include "binding/environment.h"
#include "binding/job.h"

namespace ffjord::binding {

/// What a call is made on.
struct JobContext {
  Napi::Env env;
  const Environment& environment;  // outlives every job
  std::shared_ptr<Flow> flow;
};

/// Reads the arguments of a call, with input arrays held as `use` says.
using MakeJob = std::unique_ptr<Job>(const JobContext&, const Napi::CallbackInfo&, ArrayUse use);

// density_jobs.cc
MakeJob log_prob_job, certify_job, score_job, sample_job, loss_job;
// solve_jobs.cc
MakeJob solve_job, pullback_job, velocity_job, velocity_pullback_job;
// training_jobs.cc
MakeJob step_job, train_job, idle_job;

}  // namespace ffjord::binding
