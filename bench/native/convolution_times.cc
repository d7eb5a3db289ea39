// Times of convolutional nets on a tile of the CPU engine, one JSON line a measurement: evaluations
// of (f, divergence), and with gradients, by Winograd's transforms where they are chosen and
// directly; and the core's rate of fused multiply-adds meanwhile. CPU time of one thread.
//   convolution_times SECONDS
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "binding/multiply_add.h"
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

double seconds_of(const std::function<void()>& call) {
  const double started = now();
  call();
  return now() - started;
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

/// A net on a tile of rows.
class TileCase {
 public:
  TileCase(int channels, int side, int depth, cpu::ConvolutionMethod method)
      : channels_(channels),
        side_(side),
        depth_(depth),
        method_(method),
        flow_(describe(channels, side, depth)),
        layout_(flow_) {
    const std::vector<double> drawn = initial_parameters(flow_, layout_, 0);
    parameters_.assign(drawn.begin(), drawn.end());
    const BlockContext<float> context{layout_.blocks[0], parameters_};
    net_ = cpu::make_tile_net(cpu::instruction_sets().front(), context, method);
    const TracePlan trace{.divergence = Divergence::Tangent, .probes = 1};
    time_ = net_->make_time_slot(trace);
    memory_ = net_->make_activations(trace, {});
    gradients_ = net_->make_gradient_slot(trace);
    gradients_->clear();
    net_->set_time(*time_, 0.3);
    z_ = eps_ = values(context.offsets.net.size_in() * net_->rows());
    f_ = z_bar_ = z_;
    divergence_.resize(net_->rows());
    divergence_bar_.assign(net_->rows(), 1.f);
  }

  void evaluate(bool keep) {
    net_->evaluate(
        *time_,
        {.z = z_.data(), .eps = eps_.data(), .f = f_.data(), .divergence = divergence_.data()},
        *memory_, keep);
  }
  void differentiate() {
    evaluate(true);
    net_->pullback(*time_,
                   {.eps = eps_.data(),
                    .f = z_.data(),
                    .divergence = divergence_bar_.data(),
                    .z = z_bar_.data()},
                   *memory_, gradients_.get());
  }

  /// Some of each, whose times are noted: the first find memory that others have used meanwhile.
  void run() {
    for (int i = 0; i < 3; ++i) evaluations_.push_back(seconds_of([&] { evaluate(false); }));
    for (int i = 0; i < 3; ++i) gradient_times_.push_back(seconds_of([&] { differentiate(); }));
  }

  void print() {
    double multiply_adds = 0;
    for (const LayerPlan& layer : layout_.blocks[0].net.layers)
      multiply_adds += layer.map.multiply_adds();
    // Values and a tangent; and two more products of each for cotangents and weights.
    const double flops = 4 * multiply_adds * double(net_->rows());
    print("evaluate", flops, evaluations_);
    print("gradient", 3 * flops, gradient_times_);
  }

 private:
  void print(const char* task, double flops, std::vector<double>& samples) const {
    std::sort(samples.begin(), samples.end());
    std::printf(
        "{\"channels\":%d,\"side\":%d,\"depth\":%d,\"method\":\"%s\",\"task\":\"%s\","
        "\"rows\":%zu,\"flops\":%.0f,\"best\":%.9g,\"median\":%.9g}\n",
        channels_, side_, depth_, method_ == cpu::ConvolutionMethod::Direct ? "direct" : "fastest",
        task, net_->rows(), flops, samples.front(), samples[samples.size() / 2]);
  }

  const int channels_, side_, depth_;
  const cpu::ConvolutionMethod method_;
  const FlowDescription flow_;
  const FlowLayout layout_;
  std::vector<float> parameters_;
  std::unique_ptr<cpu::TileNet> net_;
  std::unique_ptr<cpu::TimeSlot> time_;
  std::unique_ptr<cpu::Activations> memory_;
  std::unique_ptr<cpu::GradientSlot> gradients_;
  std::vector<float> z_, eps_, f_, z_bar_, divergence_, divergence_bar_;
  std::vector<double> evaluations_, gradient_times_;
};

}  // namespace
}  // namespace ffjord

int main(int count, char** arguments) {
  using namespace ffjord;
  if (count != 2) {
    std::fprintf(stderr, "usage: convolution_times SECONDS\n");
    return 2;
  }
  struct Net {
    int channels, side, depth;
  };
  std::vector<std::unique_ptr<TileCase>> cases;
  for (const auto method : {cpu::ConvolutionMethod::Fastest, cpu::ConvolutionMethod::Direct})
    for (const auto [channels, side, depth] :
         {Net{1, 28, 3}, Net{1, 28, 5}, Net{4, 14, 3}, Net{16, 7, 3}})
      cases.push_back(std::make_unique<TileCase>(channels, side, depth, method));

  // In turns, so that all meet the same clock and the same other work of the machine.
  const MultiplyAdd multiply_add = loop_of(cpu::instruction_sets().front());
  double peak = 0;
  const double deadline = now() + std::atof(arguments[1]);
  for (int round = 0; round < 3 || now() < deadline; ++round)
    for (const auto& one : cases) {
      one->run();
      double operations = 0;
      const double seconds = seconds_of([&] {
        for (int i = 0; i < 20; ++i) operations += multiply_add(0.5f);
      });
      peak = std::max(peak, operations / seconds * 1e-9);
    }
  for (const auto& one : cases) one->print();
  std::printf("{\"peak\":%.9g}\n", peak);
}
