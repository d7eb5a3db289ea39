// JavaScript objects → what the core is asked for. The field names are those of
// lib/native/interface.ts.
#pragma once

#include <vector>

#include "binding/arguments.h"
#include "core/engine.h"
#include "core/objectives.h"

namespace ffjord::binding {

/// Sizes that no machine holds are refused here, before anything multiplies them.
FlowDescription flow_description(const Napi::Value& value);

/// The net of a CNF block.
Net net_description(const Fields& net);

/// The one place where settings are read. `weights` are the regularisers' in the loss.
struct SettingsRequest {
  Settings settings;
  RegulariserWeights weights;
};
SettingsRequest settings_request(const Fields& settings);
TraceOptions trace_options(const Fields& trace);
SolverOptions solver_options(const Fields& solver);

OptimizerOptions optimizer_options(const Fields& optimizer);
NoiseKey noise_key(const Fields& key);
VisitRule visit_rule(const Fields& rule);
NoiseLaw noise_law(const Napi::Value& value);
Buffer buffer(const Napi::Value& value);

/// Where noise comes from, with copies of the ε that were given.
struct NoiseRequest {
  Noise noise;  ///< views into `given`
  std::vector<HostArray> given;
};
NoiseRequest noise_request(const Fields& noise, std::size_t cnf_blocks);

/// C of a flow whose rows are (B, D): how many numbers a call's `context` holds.
std::size_t context_size(const FlowDescription& flow, std::size_t batch);

/// A call that solves. `rows` stays empty: whoever needs rows reads them last, since a borrowed
/// array must not outlive the next look at a JavaScript object.
struct SolveCall {
  SolveRequest request;  ///< views into `given` and `rows`
  RegulariserWeights weights;
  bool float64 = false;
  std::vector<HostArray> given;
  HostArray context, rows;

  void take_rows(const Fields& call, std::size_t sample_size, ArrayUse use);
};
SolveCall solve_call(const Fields& call, const FlowDescription& flow);

/// A velocity or its pullback, as it was called.
struct VelocityCall {
  VelocityRequest request;  ///< views into `given` and `z`
  double steer = 0;         ///< the share by which training passes the end time
  bool float64 = false;
  std::vector<HostArray> given;
  HostArray z, context;
};
VelocityCall velocity_call(const Fields& call, const FlowDescription& flow);

std::size_t cnf_count(const FlowDescription& flow);

/// Throws unless `array`, called `name` in messages, holds `size` numbers.
void check_size(const HostArray& array, const std::string& name, std::size_t size);

}  // namespace ffjord::binding
