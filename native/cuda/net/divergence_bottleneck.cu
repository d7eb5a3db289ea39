#include "cuda/device/grid.h"
#include "cuda/net/divergence_bottleneck.h"
#include "cuda/net/row_products.h"

namespace ffjord::cuda {
namespace {

struct BottleneckPasses {
  LayerPass encoder, decoder, repeated;
};

BottleneckPasses passes_of(const DeviceNet& net, const Evaluation& e, const FieldPoint& point) {
  const std::size_t encoder = e.form.encoder;
  const int probes = e.form.tangents, width = net.layers()[encoder].in();
  return {{0, encoder, 0, &e.layers, {point.z.values, point.z.stride, nullptr}},
          {encoder,
           net.layers().size(),
           probes,
           &e.layers,
           {e.layers[encoder - 1].value, width, point.eps, true, false}},
          {0,
           encoder,
           probes,
           &e.repeated,
           {point.z.values, point.z.stride, e.layers.back().tangent, false, true}}};
}

/// Seeds of the pullback of ε·(∂h/∂z)v: value_bar (B, width) ← 0, and tangent_bar (K, B, width) ←
/// div̄ ε_k / K.
struct BottleneckSeeds {
  Groups groups;
  int batch = 0, width = 0, probes = 0;
  int bar_stride = 0;
  const float* divergence_bar = nullptr;  ///< (B), `bar_stride` apart; null: zero
  const float* eps = nullptr;             ///< (K, B, width)
  float *value_bar = nullptr, *tangent_bar = nullptr;
};

// One thread for each entry of (B, width).
__global__ void seed_bottleneck(BottleneckSeeds s) {
  const std::size_t entry = flat_index(), size = std::size_t(s.batch) * s.width;
  const int row = static_cast<int>(entry / s.width);
  if (!s.groups.works(row, s.batch)) return;
  const float bar = s.divergence_bar ? s.divergence_bar[std::size_t(row) * s.bar_stride] : 0.f;
  s.value_bar[entry] = 0.f;
  for (int k = 0; k < s.probes; ++k)
    s.tangent_bar[k * size + entry] = bar / s.probes * s.eps[k * size + entry];
}

}  // namespace

void evaluate_bottleneck(const DeviceNet& net, const Evaluation& e, const FieldPoint& point,
                         const FieldColumns<float>& rates, TapeUse use) {
  const BottleneckPasses passes = passes_of(net, e, point);
  push(net, e, passes.encoder, point, use);
  push(net, e, passes.decoder, point, use);
  write_rates(field_of(net, e, point), rates, net.stream());
  FieldPoint combined = point;
  combined.z.y = nullptr;  // the encoder has combined it
  push(net, e, passes.repeated, combined, use);
  const int probes = e.form.tangents, width = net.layers()[e.form.encoder].in();
  const std::size_t size = std::size_t(point.batch) * width;
  for (int k = 0; k < probes; ++k)
    add_products({point.groups, point.batch, width, 1.f / probes, point.slot,
                  e.repeated.back().tangent + k * size, point.eps + k * size, rates.divergence,
                  rates.stride},
                 net.stream());
}

// The passes, last first.
void pull_bottleneck(Reverse& reverse, const FieldColumns<const float>& bars) {
  const DeviceNet& net = reverse.net;
  const Evaluation& e = reverse.evaluation;
  const FieldPoint& point = reverse.point;
  const BottleneckPasses passes = passes_of(net, e, point);
  BottleneckSeeds seeds;
  seeds.groups = point.groups;
  seeds.batch = point.batch;
  seeds.width = net.layers()[e.form.encoder].in();
  seeds.probes = e.form.tangents;
  seeds.bar_stride = bars.stride;
  seeds.divergence_bar = bars.divergence;
  seeds.eps = point.eps;
  seeds.value_bar = reverse.value_bar();
  seeds.tangent_bar = reverse.tangent_bar();
  launch("seed_bottleneck", seed_bottleneck, flat_shape(std::size_t(seeds.batch) * seeds.width),
         net.stream(), seeds);
  pull_layers(reverse, passes.repeated);
  pull_rows(reverse, passes.repeated, false);

  MultiplyArguments m = input_product(reverse, passes.repeated);
  m.channels = e.form.tangents;
  m.a = reverse.tangent_bar();
  reverse.turn();
  m.c = reverse.tangent_bar();  // of v
  multiply(m, net.stream());
  seed(reverse, bars, true);
  pull_layers(reverse, passes.decoder);

  m = input_product(reverse, passes.decoder);
  reverse.turn();
  m.c = reverse.value_bar();  // of h
  multiply(m, net.stream());
  pull_layers(reverse, passes.encoder);
  pull_rows(reverse, passes.encoder, true);
}

}  // namespace ffjord::cuda
