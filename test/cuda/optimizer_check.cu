// Steps of the optimizer on the device against those of the host.
#include "core/flow_layout.h"
#include "cuda/flow/optimizer.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using namespace ffjord;
using ffjord::cuda::DeviceOptimizer;
using ffjord::cuda::FlowStream;

// Weights with and without decay, frozen ones, more than one part of the norm.
FlowLayout make_layout() {
  Cnf trained, frozen;
  trained.net.hidden = frozen.net.hidden = {70, 70};
  trained.train_time = true;
  frozen.train_time = false;
  return FlowLayout(FlowDescription{{5}, {trained, BatchNorm{}, frozen}});
}

struct Weights {
  std::vector<float> parameters, first, second, average;
};

double difference(const std::vector<float>& found, const std::vector<float>& expected) {
  return relative_error({found.begin(), found.end()}, {expected.begin(), expected.end()}, 1e-30);
}

void check_steps(Report& report, const FlowStream& stream, const FlowLayout& layout,
                 const std::string& name, OptimizerOptions options) {
  const std::size_t count = layout.parameter_count;
  std::mt19937_64 generator(7);
  Weights host{normal_floats(count, generator), std::vector<float>(count),
               std::vector<float>(count), std::vector<float>(count)};
  auto parameters = on_device(host.parameters, stream), first = on_device(host.first, stream),
       second = on_device(host.second, stream), average = on_device(host.average, stream);
  const auto span = [](DeviceArray<float>& array) {
    return std::span<float>(array.data(), array.size());
  };
  DeviceOptimizer optimizer(layout, stream);
  const bool averages = options.average_decay > 0;
  for (options.step = 1; options.step <= 4; ++options.step) {
    const auto gradients = normal_floats(count, generator, 0.1);
    auto device_gradients = on_device(gradients, stream);
    const bool starts = averages && options.step == 1;
    const double expected = optimizer_step<float>(
        options, layout,
        {gradients, host.parameters, host.first, host.second,
         averages ? std::span<float>(host.average) : std::span<float>(), starts});
    const OptimizerArrays<float> arrays{span(device_gradients),
                                        span(parameters),
                                        span(first),
                                        span(second),
                                        averages ? span(average) : std::span<float>(),
                                        starts};
    const double norm = optimizer.step(options, arrays)();
    report.expect("norm", std::abs(norm / expected - 1), 1e-13);
  }
  report.expect("weights", difference(from_device(parameters, stream), host.parameters), 2e-7);
  report.expect("first moment", difference(from_device(first, stream), host.first), 5e-7);
  report.expect("second moment", difference(from_device(second, stream), host.second), 5e-7);
  report.expect("average", difference(from_device(average, stream), host.average), 2e-7);
  report.finish(name);
}

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const FlowStream stream(0, {});
  const FlowLayout layout = make_layout();
  check_steps(report, stream, layout, "Adam", {.learning_rate = 0.01});
  check_steps(report, stream, layout, "Adam with decay, clipped",
              {.learning_rate = 0.01, .weight_decay = 0.1, .clip_norm = 0.5});
  check_steps(report, stream, layout, "AdamW, averaged",
              {.type = OptimizerType::AdamW, .weight_decay = 0.1, .average_decay = 0.9});
  check_steps(report, stream, layout, "Adamax", {.type = OptimizerType::Adamax});
  check_steps(
      report, stream, layout, "SGD with momentum",
      {.type = OptimizerType::Sgd, .momentum = 0.9, .weight_decay = 0.01, .clip_norm = 1e9});
  return report.failures() > 0;
}
