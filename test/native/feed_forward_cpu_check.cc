// Feed-forward nets of the cpu engine, by every instruction set of this processor: against
// PyTorch's gated convolutions and the float64 engine, bitwise the same for any number of threads.
// Takes the folder of the golden vectors, by default test/golden.
#include <exception>

#include "cpu/feed_forward.h"
#include "cpu/tile_net.h"
#include "feed_forward_case.h"

namespace {

using namespace checks;

RunNet run_by(std::string_view instruction_set, int threads) {
  return run_on_host<float>([=](const FeedForwardPlace<float>& place) {
    return cpu::make_feed_forward(place, instruction_set, threads);
  });
}

/// Taps of so many channels that products take them in parts, most of them in the border of a small
/// image, or beyond its other side.
FeedForwardPlan wide_net(ParameterLayout& layout) {
  const auto convolution = [](int channels, int kernel, int stride, bool transposed) {
    return TrainedLayer{ConvolutionLayer{channels,
                                         {.kernel = {kernel, kernel},
                                          .stride = stride,
                                          .padding = kernel / 2,
                                          .output_padding = transposed ? stride - 1 : 0,
                                          .transposed = transposed}},
                        true};
  };
  return add_feed_forward(
      layout, plan_feed_forward("net",
                                {convolution(130, 1, 1, false), convolution(4, 5, 1, false),
                                 convolution(130, 5, 2, true), convolution(3, 7, 2, false)},
                                {2, 3, 10}));
}

/// Taps of stride 1 between so many channels that Winograd's transforms take the place of products,
/// on planes of even and odd sides.
FeedForwardPlan transformed_net(ParameterLayout& layout) {
  const auto convolution = [](int channels, int kernel, bool transposed) {
    return TrainedLayer{ConvolutionLayer{channels,
                                         {.kernel = {kernel, kernel},
                                          .stride = 1,
                                          .padding = kernel / 2,
                                          .transposed = transposed}},
                        true};
  };
  return add_feed_forward(layout,
                          plan_feed_forward("net",
                                            {convolution(17, 1, false), convolution(18, 5, false),
                                             convolution(16, 5, true), convolution(9, 3, false)},
                                            {2, 15, 12}));
}

/// One dense map: of more units than one thread takes at a time, and of fewer than a vector.
FeedForwardPlan long_map(ParameterLayout& layout) {
  return add_feed_forward(layout, plan_dense("map", 37, 3333));
}
FeedForwardPlan short_map(ParameterLayout& layout) {
  return add_feed_forward(layout, plan_dense("map", 64, 3));
}

void check_threads(std::string_view instruction_set, Report& report,
                   FeedForwardPlan (&make_net)(ParameterLayout&)) {
  ParameterLayout layout;
  const FeedForwardPlan plan = make_net(layout);
  InitialParameters first(layout, 5);
  draw_first_weights(first, plan);
  const std::size_t batch = 150;
  const std::vector<double> x = draws(batch * plan.size_in(), 0),
                            y_bar = draws(batch * plan.size_out(), 1);
  const NetValues one = run_by(instruction_set, 1)(plan, first.values(), batch, x, y_bar);
  const NetValues three = run_by(instruction_set, 3)(plan, first.values(), batch, x, y_bar);
  report.expect("y", one.y == three.y);
  report.expect("x_bar", one.x_bar == three.x_bar);
  report.expect("gradients", one.gradients == three.gradients);
  report.finish("one thread and three");
}

}  // namespace

int main(int argc, char** argv) {
  Report report;
  const std::string folder = std::string(argc > 1 ? argv[1] : "test/golden") + "/convolutions";
  try {
    for (std::string_view set : cpu::instruction_sets()) {
      std::printf("%.*s\n", int(set.size()), set.data());
      check_golden_pairs(folder, run_by(set, 2), 1e-6, report);
      check_against_reference(run_by(set, 2), 5e-6, report);
      // Sums over a thousand features; kernels that take all taps at once come to 5.3e-6.
      check_against_reference(run_by(set, 2), 1e-5, report, wide_net);
      // Transforms of 5 × 5 taps multiply by 4 and 5: 2.2e-5, where products alone come to 3.7e-6.
      check_against_reference(run_by(set, 2), 4e-5, report, transformed_net);
      check_against_reference(run_by(set, 2), 5e-6, report, long_map);
      check_against_reference(run_by(set, 2), 5e-6, report, short_map);
      check_threads(set, report, odd_net);
      check_threads(set, report, long_map);
    }
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  return report.failures() > 0;
}
