// Feed-forward nets of a card: against PyTorch's gated convolutions and the float64 engine.
#include "cuda/device/cuda_options.h"
#include "cuda/flow/feed_forward.h"
#include "test/cuda/kernels.h"
#include "test/native/feed_forward_case.h"

namespace {

using namespace checks;

RunNet run_on_card(const ffjord::cuda::CudaOptions& options) {
  return [options](const FeedForwardPlan& plan, const std::vector<double>& given, std::size_t batch,
                   const std::vector<double>& given_x, const std::vector<double>& given_y_bar) {
    const ffjord::cuda::FlowStream stream(0, options);
    const auto floats = [&](const std::vector<double>& values) {
      return on_device(std::vector<float>(values.begin(), values.end()), stream);
    };
    // Gradients and x̄ are added to, y is written. What stood there is small, for rounding's sake.
    constexpr float before = 0x1p-10f;
    const DeviceArray<float> weights = floats(given), x = floats(given_x),
                             y_bar = floats(given_y_bar);
    DeviceArray<float> y(batch * plan.size_out(), stream),
        x_bar = on_device(std::vector<float>(x.size(), before), stream),
        gradients = on_device(std::vector<float>(weights.size(), before), stream);
    const auto span = [](auto& array) { return std::span(array.data(), array.size()); };
    const auto net = ffjord::cuda::make_feed_forward({plan, span(weights)}, stream);
    net->parameters_changed();
    const auto tape = net->apply(batch, span(x), span(y), true);
    net->pullback(*tape, {batch, span(x), span(y_bar), span(x_bar), span(gradients)});
    const std::vector<float> y_found = from_device(y, stream);
    NetValues values{{y_found.begin(), y_found.end()}, {}, {}};
    for (float value : from_device(x_bar, stream)) values.x_bar.push_back(double(value) - before);
    for (float value : from_device(gradients, stream))
      values.gradients.push_back(double(value) - before);
    return values;
  };
}

}  // namespace

int main(int argc, char** argv) {
  if (skips_without_device()) return kSkipped;
  Report report;
  const std::string folder = std::string(argc > 1 ? argv[1] : "test/golden") + "/convolutions";
  check_golden_pairs(folder, run_on_card({}), 2e-6, report);
  check_against_reference(run_on_card({}), 1e-5, report);
  return report.failures() > 0;
}
