// A golden case as a flow of an engine, and what its solves are asked for.
#pragma once

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>

#include "flow_case.h"
#include "golden_file.h"

namespace golden {

/// The flow with the file's weights and statistics.
inline std::unique_ptr<ffjord::Flow> make_flow(const ffjord::Engine& engine, const File& file,
                                               const ffjord::EngineOptions& options) {
  auto flow = engine.create(file.flow, 0, options);
  std::ptrdiff_t used = 0;
  const auto fill = [&](ffjord::Buffer buffer, const std::vector<ffjord::Parameter>& entries,
                        std::size_t count) {
    std::vector<double> values(count);
    flow->read(buffer, values);
    for (const ffjord::Parameter& entry : entries) {
      if (!file.has("param." + entry.name)) continue;  // a swish β of 1, batch norm's step
      const std::vector<double>& given = file.at("param." + entry.name);
      if (given.size() != entry.size) throw std::runtime_error(entry.name + " has another size");
      std::copy(given.begin(), given.end(), values.begin() + entry.offset);
      ++used;
    }
    flow->write(buffer, values);
  };
  fill(ffjord::Buffer::Parameters, flow->layout().parameters, flow->layout().parameter_count);
  if (flow->layout().buffer_count > 0)
    fill(ffjord::Buffer::Statistics, flow->layout().buffers, flow->layout().buffer_count);
  if (used != std::count_if(file.tensors.begin(), file.tensors.end(),
                            [](const auto& entry) { return entry.first.starts_with("param."); }))
    throw std::runtime_error(file.name + " has weights that the flow does not know");
  return flow;
}

inline ffjord::TraceOptions trace_of(const File& file, ffjord::TraceForm form) {
  ffjord::TraceOptions trace;
  trace.mode = file.trace == "exact" ? ffjord::TraceMode::Exact : ffjord::TraceMode::Hutchinson;
  trace.noise =
      file.trace == "rademacher" ? ffjord::NoiseLaw::Rademacher : ffjord::NoiseLaw::Gaussian;
  trace.form = form;
  return trace;
}

inline ffjord::Noise noise_of(const File& file) {
  ffjord::Noise noise;
  for (int block = 0; file.has("noise." + std::to_string(block)); ++block)
    noise.given.push_back(file.at("noise." + std::to_string(block)));
  return noise;
}

}  // namespace golden
