// Feed-forward nets in the float64 engine: against PyTorch's gated convolutions and finite
// differences; and what a description may not say. Takes the folder of the golden vectors, by
// default test/golden.
#include <exception>

#include "feed_forward_case.h"

namespace {

using namespace checks;

void check_differences(Report& report) {
  ParameterLayout layout;
  const FeedForwardPlan plan = odd_net(layout);
  InitialParameters first(layout, 5);
  draw_first_weights(first, plan);
  std::vector<double> weights = first.values();
  const std::size_t batch = 2;
  std::vector<double> x = draws(batch * plan.size_in(), 0);
  const std::vector<double> y_bar = draws(batch * plan.size_out(), 1);
  const RunNet run = run_on_host<double>(reference::make_feed_forward);
  const NetValues ours = run(plan, weights, batch, x, y_bar);
  const auto value = [&] {
    const NetValues at = run(plan, weights, batch, x, y_bar);
    double sum = 0;
    for (std::size_t i = 0; i < at.y.size(); ++i) sum += at.y[i] * y_bar[i];
    return sum;
  };
  const auto compare = [&](const std::string& name, std::vector<double>& values, std::size_t i,
                           double gradient) {
    const double kept = values[i], h = 1e-5;
    values[i] = kept + h;
    const double above = value();
    values[i] = kept - h;
    const double below = value();
    values[i] = kept;
    report.expect(name, std::abs((above - below) / (2 * h) - gradient), 1e-7);
  };
  for (const Parameter& parameter : layout.parameters)
    for (std::size_t i = 0; i < parameter.size; i += 1 + parameter.size / 7)
      compare(parameter.name, weights, parameter.offset + i, ours.gradients[parameter.offset + i]);
  for (std::size_t i = 0; i < x.size(); i += 5) compare("x", x, i, ours.x_bar[i]);
  report.finish("finite differences");
}

void check_plans(Report& report) {
  const auto refuses = [&](const std::string& part, const FeedForwardDescription& description,
                           const std::vector<int>& shape) {
    const std::string message = error_of([&] { plan_feed_forward("net", description, shape); });
    report.expect("refuses: " + part + ", got: " + message,
                  message.find(part) != std::string::npos);
  };
  const auto convolution = [](Convolution at) { return TrainedLayer{ConvolutionLayer{2, at}}; };
  const std::vector<int> image{1, 6, 6};
  refuses("net: a net needs at least one layer", {}, image);
  refuses("net: samples must have shape", {TrainedLayer{DenseLayer{2}}}, {6, 6});
  refuses("net[0]: the kernel [7, 7] does not fit onto samples of shape [1, 6, 6]",
          {convolution({.kernel = {7, 7}})}, image);
  refuses("net[1]: a reshape to [2, 2, 2] needs as many numbers as [9, 1, 1]",
          {TrainedLayer{DenseLayer{9}}, Reshape{{2, 2, 2}}}, image);
  refuses("net[0]: output padding belongs", {convolution({.kernel = {3, 3}, .output_padding = 1})},
          image);
  refuses("net[0]: output padding must be less",
          {convolution({.kernel = {3, 3}, .stride = 2, .output_padding = 2, .transposed = true})},
          image);
  refuses("net[0]: a stride is at least 1", {convolution({.kernel = {3, 3}, .stride = 0})}, image);
  refuses("net[0]: padding must not", {convolution({.kernel = {3, 3}, .padding = -1})}, image);
  refuses("net[0]: a dense layer has at least 1 unit", {TrainedLayer{DenseLayer{0}}}, image);
  refuses("net[0]: an image or a kernel", {convolution({.kernel = {3, 3}, .stride = 1 << 20})},
          image);
  refuses("net[0]: swish has a weight", {TrainedLayer{DenseLayer{2}, false, Activation::Swish}},
          image);

  ParameterLayout layout;
  odd_net(layout);
  report.expect("names", layout.parameters[0].name == "net.0.h.weight" &&
                             layout.parameters[3].name == "net.0.g.bias" &&
                             layout.parameters[4].name == "net.1.weight" &&
                             layout.parameters.back().name == "net.5.bias");
  report.finish("descriptions");
}

}  // namespace

int main(int argc, char** argv) {
  Report report;
  const std::string folder = std::string(argc > 1 ? argv[1] : "test/golden") + "/convolutions";
  try {
    check_golden_pairs(folder, run_on_host<double>(reference::make_feed_forward), 1e-12, report);
    check_differences(report);
    check_plans(report);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  return report.failures() > 0;
}
