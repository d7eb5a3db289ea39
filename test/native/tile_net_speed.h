// Shares of one core's fused multiply-add peak that the CPU kernels reach.
#pragma once

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "core/flow_layout.h"
#include "cpu/tile_net.h"
#include "test/native/tile_net_case.h"

namespace ffjord::check {

inline double thread_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

inline double best_of(int repeats, const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < repeats; ++i) {
    const double start = thread_seconds();
    work();
    best = std::min(best, thread_seconds() - start);
  }
  return best;
}

#if defined(__x86_64__)
/// FLOP/s of independent fused multiply-adds, eight floats each.
[[gnu::target("avx2,fma")]] inline double multiply_add_peak() {
  using Floats = float __attribute__((vector_size(32)));
  Floats sums[12];
  for (int i = 0; i < 12; ++i) sums[i] = Floats{} + 0.1f * float(i);
  Floats factor = Floats{} + 0.999999f, term = Floats{} + 1e-6f;
  asm("" : "+x"(factor), "+x"(term));
  const long count = 2'000'000;
  double best = 0;
  for (int repeat = 0; repeat < 10; ++repeat) {
    const double start = thread_seconds();
    for (long k = 0; k < count; ++k)
#pragma GCC unroll 12
      for (int i = 0; i < 12; ++i) sums[i] = sums[i] * factor + term;
    best = std::max(best, double(count) * 12 * 16 / (thread_seconds() - start));
    for (int i = 0; i < 12; ++i) asm volatile("" : "+x"(sums[i]));
  }
  return best;
}
#else
inline double multiply_add_peak() { return 0; }
#endif

inline void measure(const Case& c, std::size_t batch) {
  const double peak = multiply_add_peak();  // here, as clocks change
  const FlowDescription flow = describe(c);
  const FlowLayout layout(flow);
  const Inputs inputs = make_inputs(c, layout, batch);
  const BlockContext<float> context{layout.blocks[0], inputs.parameters};
  const auto net = cpu::make_tile_net(cpu::instruction_sets().front(), context);
  const std::size_t tile = net->rows(), dimension = c.widths[0];
  const auto time = net->make_time_slot(c.trace);
  const auto memory = net->make_activations(c.trace, c.regularisers);
  const auto gradient = net->make_gradient_slot(c.trace);
  gradient->clear();
  const auto z = to_tile(inputs.z, batch, 0, tile, dimension);
  const auto eps = to_tile(inputs.eps, batch, 0, tile, dimension * std::max(1, c.trace.probes));
  const auto f_bar = to_tile(inputs.f_bar, batch, 0, tile, dimension);
  const auto divergence_bar = to_tile(inputs.divergence_bar, batch, 0, tile, 1);
  std::vector<float> f(tile * dimension), divergence(tile), z_bar(tile * dimension);
  double sigma = 0;
  for (std::size_t l = 0; l < c.widths.size(); ++l)
    sigma += double(c.widths[l]) * c.widths[l + 1 < c.widths.size() ? l + 1 : 0];
  const cpu::TileArrays arrays{
      .z = z.data(), .eps = eps.data(), .f = f.data(), .divergence = divergence.data()};
  const cpu::TileArrays values{.z = z.data(), .f = f.data()};
  const cpu::TileCotangents bars{
      .eps = eps.data(), .f = f_bar.data(), .divergence = divergence_bar.data(), .z = z_bar.data()};
  // Runs of about 1 ms, scaled to the batch: long ones would measure the other work of the machine.
  const double tiles = std::ceil(double(batch) / double(tile));
  const int together = std::max(1, int(1e8 / (12 * sigma * double(tile))));
  const int repeats = std::max(40, int(tiles / together * 2e10 / (12 * sigma * double(batch))));
  const double setting = best_of(20, [&] { net->set_time(*time, 0.3); });
  const auto seconds = [&](const std::function<void()>& work) {
    return setting + tiles / together * best_of(repeats, [&] {
                       for (int i = 0; i < together; ++i) work();
                     });
  };
  const double alone = seconds([&] { net->evaluate(*time, values, *memory, false); });
  const double both = seconds([&] { net->evaluate(*time, arrays, *memory, false); });
  const double data_only = seconds([&] {
    net->evaluate(*time, arrays, *memory, true);
    net->pullback(*time, bars, *memory, nullptr);
  });
  const double all = seconds([&] {
    net->evaluate(*time, arrays, *memory, true);
    net->pullback(*time, bars, *memory, gradient.get());
  });
  const double flops = sigma * double(batch);
  std::printf(
      "%-40s B=%-5zu peak %5.1f GFLOP/s | f %8.1f us %3.0f %% | f, div %8.1f us %3.0f %% | "
      "and z_bar %3.0f %% | all gradients %9.1f us %3.0f %% | set_time %.1f us\n",
      name(c).c_str(), batch, peak * 1e-9, alone * 1e6, 100 * 2 * flops / alone / peak, both * 1e6,
      100 * 4 * flops / both / peak, 100 * 8 * flops / data_only / peak, all * 1e6,
      100 * 12 * flops / all / peak, setting * 1e6);
}

inline void speed(const std::string& filter) {
  std::printf(
      "%s; shares of one core's fused multiply-add peak, counting 2, 4, 8, 12 FLOPs a weight and "
      "row\n",
      std::string(cpu::instruction_sets().front()).c_str());
  const Activation tanh = Activation::Tanh, softplus = Activation::Softplus;
  const auto measure_if_wanted = [&](const Case& c, std::size_t batch) {
    if (name(c).find(filter) != std::string::npos) measure(c, batch);
  };
  for (LayerKind layer : {LayerKind::Concat, LayerKind::ConcatSquash}) {
    measure_if_wanted({{2, 64, 64, 64}, layer, tanh, trace(Divergence::Tangent, 1)}, 1024);
    measure_if_wanted({{2, 64, 64, 64}, layer, tanh, trace(Divergence::UnitTangents, 2)}, 1024);
    measure_if_wanted({{2, 64, 64, 64}, layer, softplus, trace(Divergence::Tangent, 1)}, 1024);
    measure_if_wanted({{2, 64, 64, 64}, layer, Activation::Identity, trace(Divergence::Tangent, 1)},
                      1024);
    measure_if_wanted({{43, 860, 860}, layer, softplus, trace(Divergence::Tangent, 1)}, 1000);
    measure_if_wanted({{43, 860, 860}, layer, softplus, trace(Divergence::ClosedTwoHidden, 0)},
                      1000);
  }
}

}  // namespace ffjord::check
