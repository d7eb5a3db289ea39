// Times of convolutional nets on a tile of the CPU engine, one JSON line a measurement: evaluations
// of (f, divergence), and with gradients, by Winograd's transforms where they are chosen and
// directly. CPU time of one thread.
//   convolution_times SECONDS
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/flow_layout.h"
#include "core/initial_values.h"
#include "cpu/tile_net.h"

namespace ffjord {
namespace {

double now() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Timing {
  double best = 0, median = 0;
};

Timing measure(const std::function<void()>& call, double seconds) {
  call();
  std::vector<double> samples;
  const double deadline = now() + seconds;
  while (samples.size() < 5 || now() < deadline) {
    const double started = now();
    call();
    samples.push_back(now() - started);
  }
  std::sort(samples.begin(), samples.end());
  return {samples.front(), samples[samples.size() / 2]};
}

/// Repeatable values in (−1.7, 1.7), of variance about 1.
std::vector<float> values(std::size_t count) {
  std::vector<float> result(count);
  std::uint32_t state = 1;
  for (float& value : result) {
    state = state * 1664525u + 1013904223u;
    value = 3.46f * (static_cast<float>(state >> 8) / 16777216.0f - 0.5f);
  }
  return result;
}

constexpr int kHidden = 64;

/// `depth` hidden layers of 64 channels, 3 × 3 of stride 1, with the activation softplus and t as a
/// channel.
FlowDescription describe(int channels, int side, int depth) {
  Cnf cnf;
  cnf.net.hidden.assign(depth, kHidden);
  cnf.net.layer = LayerKind::Concat;
  cnf.net.activation = Activation::Softplus;
  cnf.net.convolutions.assign(depth + 1, *find_convolution(1));
  return {{channels, side, side}, {cnf}};
}

void measure_net(int channels, int side, int depth, cpu::ConvolutionMethod method, double seconds) {
  const FlowDescription flow = describe(channels, side, depth);
  const FlowLayout layout(flow);
  const std::vector<double> drawn = initial_parameters(flow, layout, 0);
  const std::vector<float> parameters(drawn.begin(), drawn.end());
  const auto net =
      cpu::make_tile_net(cpu::instruction_sets().front(), {layout.blocks[0], parameters}, method);
  const TracePlan trace{.divergence = Divergence::Tangent, .probes = 1};
  const auto time = net->make_time_slot(trace);
  const auto memory = net->make_activations(trace, {});
  const auto gradients = net->make_gradient_slot(trace);
  net->set_time(*time, 0.3);

  const std::size_t rows = net->rows(), size = layout.blocks[0].net.size_in() * rows;
  const std::vector<float> z = values(size), eps = values(size), divergence_bar(rows, 1.f);
  std::vector<float> f(size), divergence(rows), z_bar(size);
  const cpu::TileArrays arrays{
      .z = z.data(), .eps = eps.data(), .f = f.data(), .divergence = divergence.data()};
  const cpu::TileCotangents bars{
      .eps = eps.data(), .f = z.data(), .divergence = divergence_bar.data(), .z = z_bar.data()};

  double multiply_adds = 0;
  for (const LayerPlan& layer : layout.blocks[0].net.layers)
    multiply_adds += layer.map.multiply_adds();
  const auto print = [&](const char* task, double flops, const Timing& timing) {
    std::printf(
        "{\"channels\":%d,\"side\":%d,\"depth\":%d,\"method\":\"%s\",\"task\":\"%s\","
        "\"rows\":%zu,\"flops\":%.0f,\"best\":%.9g,\"median\":%.9g}\n",
        channels, side, depth, method == cpu::ConvolutionMethod::Direct ? "direct" : "fastest",
        task, rows, flops, timing.best, timing.median);
    std::fflush(stdout);
  };
  // Values and a tangent; and two more products of each for cotangents and weights.
  const double flops = 4 * multiply_adds * static_cast<double>(rows);
  print("evaluate", flops, measure([&] { net->evaluate(*time, arrays, *memory, false); }, seconds));
  gradients->clear();
  print("gradient", 3 * flops,
        measure(
            [&] {
              net->evaluate(*time, arrays, *memory, true);
              net->pullback(*time, bars, *memory, gradients.get());
            },
            seconds));
}

}  // namespace
}  // namespace ffjord

int main(int count, char** arguments) {
  using namespace ffjord;
  if (count != 2) {
    std::fprintf(stderr, "usage: convolution_times SECONDS\n");
    return 2;
  }
  const double seconds = std::atof(arguments[1]);
  struct Net {
    int channels, side, depth;
  };
  for (const auto method : {cpu::ConvolutionMethod::Fastest, cpu::ConvolutionMethod::Direct})
    for (const auto [channels, side, depth] :
         {Net{1, 28, 3}, Net{1, 28, 5}, Net{4, 14, 3}, Net{16, 7, 3}})
      measure_net(channels, side, depth, method, seconds);
}
