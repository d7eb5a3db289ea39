// A net, how its divergence is taken, and numbers to feed it: what the checks of the CPU kernels
// and their measurement share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "core/flow_description.h"
#include "core/flow_layout.h"
#include "core/options.h"
#include "core/trace_plan.h"

namespace ffjord::check {

struct Case {
  std::vector<int> widths;  // D, hidden
  LayerKind layer;
  Activation activation;
  TracePlan trace;
  bool residual = false;
  Regularisers regularisers = {};
  bool own_times = false;
};

inline std::string name(const Case& c) {
  std::string text;
  for (int width : c.widths) text += std::to_string(width) + "-";
  text += std::string(name_of(c.layer)) + " " + std::string(name_of(c.activation));
  static const char* const forms[] = {"closed1", "closed2", "unit", "lattices", "tangent", "vjp"};
  text += " ";
  text += forms[int(c.trace.divergence)];
  if (c.trace.probes > 1) text.append("x").append(std::to_string(c.trace.probes));
  if (c.residual) text += " residual";
  for (const Regulariser* one : c.regularisers) text.append(" ").append(one->name);
  if (c.own_times) text += " own-times";
  return text;
}

inline FlowDescription describe(const Case& c) {
  Cnf cnf;
  cnf.net.hidden.assign(c.widths.begin() + 1, c.widths.end());
  cnf.net.layer = c.layer;
  cnf.net.activation = c.activation;
  cnf.net.residual = c.residual;
  return {{c.widths[0]}, {cnf}};
}

struct Inputs {
  std::vector<float> parameters, z, eps, f_bar, divergence_bar, regularisers_bar, times;
  std::size_t batch = 0;
};

inline Inputs make_inputs(const Case& c, const ParameterLayout& layout, std::size_t batch) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(-1, 1);
  Inputs inputs;
  inputs.batch = batch;
  const std::size_t dimension = c.widths[0];
  inputs.parameters.resize(layout.parameter_count);
  for (const Parameter& p : layout.parameters) {
    const double fan_in = p.shape.size() > 1 ? p.shape[1] : 4;
    for (std::size_t i = 0; i < p.size; ++i)
      inputs.parameters[p.offset + i] = p.role == Role::Beta
                                            ? 0.8f + 0.1f * uniform(random)
                                            : uniform(random) * 1.5 / std::sqrt(fan_in);
  }
  const auto fill = [&](std::vector<float>& to, std::size_t count) {
    to.resize(count);
    for (float& value : to) value = normal(random);
  };
  fill(inputs.z, batch * dimension);
  fill(inputs.eps, batch * dimension * std::max(c.trace.probes, 1));
  fill(inputs.f_bar, batch * dimension);
  fill(inputs.divergence_bar, batch);
  fill(inputs.regularisers_bar, batch * std::max(c.regularisers.count(), 2));
  inputs.times.resize(batch);
  for (float& t : inputs.times) t = c.own_times ? 0.5f * (1 + uniform(random)) : 0.375f;
  return inputs;
}

/// Feature-major copies of a tile's rows, zero beyond the batch.
inline std::vector<float> to_tile(const std::vector<float>& rows, std::size_t batch,
                                  std::size_t first, std::size_t tile, std::size_t features) {
  std::vector<float> out(features * tile, 0.f);
  for (std::size_t r = 0; r < tile && first + r < batch; ++r)
    for (std::size_t i = 0; i < features; ++i) out[i * tile + r] = rows[(first + r) * features + i];
  return out;
}

inline TracePlan trace(Divergence divergence, int probes) {
  return {.divergence = divergence, .probes = probes};
}

}  // namespace ffjord::check
