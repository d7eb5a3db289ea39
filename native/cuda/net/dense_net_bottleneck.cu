// The divergence of a DenseNet by noise of a bottleneck's width (core/trace_plan.h), f = g(h(z)),
// in three passes: the values through the encoder h; h and ε through the decoder g, which leaves v
// = (∂g/∂h)ε beside f; z and v through the encoder again, which leaves (∂h/∂z)v.
#include "cuda/net/bottleneck.h"
#include "cuda/net/dense_net.h"
#include "cuda/net/vjp.h"

namespace ffjord::cuda {

DenseNet::BottleneckPasses DenseNet::bottleneck_passes(const Evaluation& e,
                                                       const FieldPoint& point) const {
  const std::size_t encoder = e.form.encoder;
  const int probes = e.form.tangents, width = layers_[encoder].in;
  return {{0, encoder, 0, &e.layers, {point.z.values, point.z.stride, nullptr}},
          {encoder,
           layers_.size(),
           probes,
           &e.layers,
           {e.layers[encoder - 1].value, width, point.eps, true, false}},
          {0,
           encoder,
           probes,
           &e.again,
           {point.z.values, point.z.stride, e.layers.back().tangent, false, true}}};
}

void DenseNet::evaluate_bottleneck(const Evaluation& e, const FieldPoint& point,
                                   const FieldColumns<float>& rates, TapeUse use) const {
  const BottleneckPasses passes = bottleneck_passes(e, point);
  push(e, passes.encoder, point, use);
  push(e, passes.decoder, point, use);
  write_rates(field_of(e, point), rates, stream_);
  FieldPoint again = point;
  again.z.y = nullptr;  // the encoder has combined it
  push(e, passes.again, again, use);
  const int probes = e.form.tangents, width = layers_[e.form.encoder].in;
  const std::size_t size = std::size_t(point.batch) * width;
  for (int k = 0; k < probes; ++k)
    add_products(
        {point.groups, point.batch, width, 1.f / probes, point.slot,
         e.again.back().tangent + k * size, point.eps + k * size, rates.divergence, rates.stride},
        stream_);
}

// The passes, last first.
void DenseNet::pull_bottleneck(Reverse& reverse, const FieldColumns<const float>& bars) const {
  const Evaluation& e = reverse.evaluation;
  const FieldPoint& point = reverse.point;
  const BottleneckPasses passes = bottleneck_passes(e, point);
  BottleneckSeeds seeds;
  seeds.groups = point.groups;
  seeds.batch = point.batch;
  seeds.width = layers_[e.form.encoder].in;
  seeds.probes = e.form.tangents;
  seeds.bar_stride = bars.stride;
  seeds.divergence_bar = bars.divergence;
  seeds.eps = point.eps;
  seeds.value_bar = reverse.value_bar();
  seeds.tangent_bar = reverse.tangent_bar();
  write_bottleneck_seeds(seeds, stream_);
  pull_layers(reverse, passes.again);
  pull_rows(reverse, passes.again, false);

  MultiplyArguments m = input_product(reverse, passes.again);
  m.channels = e.form.tangents;
  m.a = reverse.tangent_bar();
  reverse.turn();
  m.c = reverse.tangent_bar();  // of v
  multiply(m, stream_);
  seed(reverse, bars, true);
  pull_layers(reverse, passes.decoder);

  m = input_product(reverse, passes.decoder);
  reverse.turn();
  m.c = reverse.value_bar();  // of h
  multiply(m, stream_);
  pull_layers(reverse, passes.encoder);
  pull_rows(reverse, passes.encoder, true);
}

}  // namespace ffjord::cuda
