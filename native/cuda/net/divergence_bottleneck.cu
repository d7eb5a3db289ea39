#include "cuda/net/divergence_bottleneck.h"
#include "cuda/net/probe_seeds.h"
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
  add_products({point.groups, point.batch, width, probes, 1.f / probes, point.slot,
                e.repeated.back().tangent, point.eps, rates.divergence, rates.stride},
               net.stream());
}

// The passes, last first.
void pull_bottleneck(Reverse& reverse, const FieldColumns<const float>& bars) {
  const DeviceNet& net = reverse.net;
  const Evaluation& e = reverse.evaluation;
  const FieldPoint& point = reverse.point;
  const BottleneckPasses passes = passes_of(net, e, point);
  ProbeSeeds seeds;
  seeds.groups = point.groups;
  seeds.batch = point.batch;
  seeds.width = net.layers()[e.form.encoder].in();
  seeds.probes = e.form.tangents;
  seeds.weight = 1.f / seeds.probes;
  seeds.bar_stride = bars.stride;
  seeds.divergence_bar = bars.divergence;
  seeds.eps = point.eps;
  seeds.value_bar = reverse.value_bar();
  seeds.tangent_bar = reverse.tangent_bar();
  seed_probes(seeds, net.stream());
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
