// Feed-forward nets of any engine, against PyTorch's gated convolutions and against the float64
// engine.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/feed_forward.h"
#include "flow_case.h"
#include "golden_file.h"
#include "reference/feed_forward.h"

namespace checks {

using namespace ffjord;

/// What a net makes of rows, and its pullback.
struct NetValues {
  std::vector<double> y, x_bar, gradients;
};

/// A net of an engine on rows (batch, in) that lie on the host.
using RunNet = std::function<NetValues(const FeedForwardPlan&, const std::vector<double>& weights,
                                       std::size_t batch, const std::vector<double>& x,
                                       const std::vector<double>& y_bar)>;

/// How an engine of the host makes its nets.
template <class Real>
using MakeNet = std::function<std::unique_ptr<FeedForward<Real>>(const FeedForwardPlace<Real>&)>;

template <class Real>
RunNet run_on_host(const MakeNet<Real>& make) {
  return [make](const FeedForwardPlan& plan, const std::vector<double>& given, std::size_t batch,
                const std::vector<double>& given_x, const std::vector<double>& given_y_bar) {
    const std::vector<Real> weights(given.begin(), given.end()), x(given_x.begin(), given_x.end()),
        y_bar(given_y_bar.begin(), given_y_bar.end());
    const auto net = make({plan, weights});
    net->parameters_changed();
    // Gradients and x̄ are added to, y is written. What stood there is small, for rounding's sake.
    constexpr Real before(0x1p-10);
    std::vector<Real> y(batch * plan.size_out(), Real(NAN)), again(y), x_bar(x.size(), before);
    std::vector<Real> gradients(weights.size(), before);
    const auto tape = net->apply(batch, x, y, true);
    net->apply(batch, x, again, false);
    if (!std::equal(y.begin(), y.end(), again.begin())) again.front() = y.front() = Real(NAN);
    net->pullback(*tape, {batch, x, y_bar, x_bar, gradients});
    NetValues values{{y.begin(), y.end()}, {}, {}};
    for (Real value : x_bar) values.x_bar.push_back(double(value) - before);
    for (Real value : gradients) values.gradients.push_back(double(value) - before);
    return values;
  };
}

/// The gated pairs of test/golden/convolutions, as the only layer of a net.
inline void check_golden_pairs(const std::string& folder, const RunNet& run, double tolerance,
                               Report& report) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  report.expect("files", !paths.empty());
  for (const auto& path : paths) {
    const golden::Content file = golden::read_content(path.string());
    const auto numbers = [&](const std::string& name) {
      return golden::parse(file.metadata.at(name).text).integers();
    };
    const std::vector<int> kernel = numbers("kernel"), x = file.shapes.at("x"),
                           y = file.shapes.at("y");
    const bool transposed = file.metadata.at("layer").text.find("Transpose") != std::string::npos;
    const Convolution convolution{.kernel = {kernel[0], kernel[1]},
                                  .stride = numbers("stride")[0],
                                  .padding = numbers("padding")[0],
                                  .output_padding = numbers("output_padding")[0],
                                  .transposed = transposed};
    ParameterLayout layout;
    const FeedForwardPlan plan = add_feed_forward(
        layout, plan_feed_forward("net", {TrainedLayer{ConvolutionLayer{y[1], convolution}, true}},
                                  {x[1], x[2], x[3]}));
    const std::string name = file.metadata.at("name").text;
    report.expect(name + " shape", plan.shape_out == std::vector<int>{y[1], y[2], y[3]});
    std::vector<double> weights, gradients;
    for (const Parameter& parameter : layout.parameters) {
      const std::string tensor = parameter.name.substr(std::string("net.0.").size());
      for (const auto& [prefix, values] :
           {std::pair("param.", &weights), std::pair("grad.", &gradients)}) {
        const std::vector<double>& found = file.tensors.at(prefix + tensor);
        values->insert(values->end(), found.begin(), found.end());
      }
    }
    const NetValues ours = run(plan, weights, x[0], file.tensors.at("x"), file.tensors.at("y_bar"));
    report.expect(name + " y", relative_error(ours.y, file.tensors.at("y"), 1e-30), tolerance);
    report.expect(name + " x_bar", relative_error(ours.x_bar, file.tensors.at("x_bar"), 1e-30),
                  tolerance);
    report.expect(name + " gradients", relative_error(ours.gradients, gradients, 1e-30), tolerance);
    report.finish(name);
  }
}

/// Convolutions with odd planes and strides, a reshape, dense layers, gates and activations.
inline FeedForwardPlan odd_net(ParameterLayout& layout) {
  const auto convolution = [](int channels, Convolution at, bool gated, Activation activation) {
    return TrainedLayer{ConvolutionLayer{channels, at}, gated, activation};
  };
  return add_feed_forward(
      layout,
      plan_feed_forward(
          "net",
          {convolution(3, {.kernel = {5, 5}, .stride = 2, .padding = 2}, true,
                       Activation::Identity),
           convolution(5, {.kernel = {3, 2}, .stride = 1, .padding = 1}, false, Activation::Elu),
           TrainedLayer{DenseLayer{12}, true, Activation::Tanh}, Reshape{{3, 2, 2}},
           convolution(4,
                       {.kernel = {5, 5},
                        .stride = 2,
                        .padding = 2,
                        .output_padding = 1,
                        .transposed = true},
                       true, Activation::Softplus),
           convolution(2, {.kernel = {1, 1}}, false, Activation::Identity)},
          {2, 7, 6}));
}

/// Uniform in (−1, 1).
inline std::vector<double> draws(std::size_t count, std::uint32_t number) {
  std::vector<float> values(count);
  fill_noise<float>(NoiseLaw::Uniform, {29, number, 0, 0}, 0, count, values);
  std::vector<double> centred;
  for (float value : values) centred.push_back(2.0 * value - 1);
  return centred;
}

/// A net of an engine on batches that fill lanes and tiles or do not, against the float64 engine.
inline void check_against_reference(const RunNet& run, double tolerance, Report& report,
                                    FeedForwardPlan (&make_net)(ParameterLayout&) = odd_net) {
  ParameterLayout layout;
  const FeedForwardPlan plan = make_net(layout);
  InitialParameters first(layout, 5);
  draw_first_weights(first, plan);
  const RunNet exact = run_on_host<double>(reference::make_feed_forward);
  for (std::size_t batch : {1, 3, 16, 33, 70}) {
    const std::vector<double> x = draws(batch * plan.size_in(), 0),
                              y_bar = draws(batch * plan.size_out(), 1);
    const NetValues ours = run(plan, first.values(), batch, x, y_bar),
                    expected = exact(plan, first.values(), batch, x, y_bar);
    report.expect("y", relative_error(ours.y, expected.y, 1e-30), tolerance);
    report.expect("x_bar", relative_error(ours.x_bar, expected.x_bar, 1e-30), tolerance);
    for (const Parameter& parameter : layout.parameters) {
      const auto part = [&](const std::vector<double>& all) {
        return std::vector<double>(all.begin() + parameter.offset,
                                   all.begin() + parameter.offset + parameter.size);
      };
      report.expect(parameter.name,
                    relative_error(part(ours.gradients), part(expected.gradients), 1e-30),
                    tolerance);
    }
    report.finish("a batch of " + std::to_string(batch));
  }
}

}  // namespace checks
