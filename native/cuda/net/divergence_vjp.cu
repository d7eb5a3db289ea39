#include "cuda/device/grid.h"
#include "cuda/net/activations.h"
#include "cuda/net/divergence_vjp.h"
#include "cuda/net/row_products.h"

namespace ffjord::cuda {
namespace {

/// `to` (B, out) ← `from` ⊙ σ'(z) ⊙ g of one layer.
struct SlopeArguments {
  Layer layer;
  Groups groups;
  int batch = 0;
  TimeArrays times;
  const float* beta = nullptr;
  const float* value = nullptr;  ///< a (B, out)
  const float* z = nullptr;
  const float* from = nullptr;
  float* to = nullptr;
};

__global__ void scale_cotangents(SlopeArguments s) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / s.layer.out()),
            j = static_cast<int>(entry % s.layer.out());
  if (row >= s.batch || !s.groups.of_row(row).working) return;
  const Slopes slopes =
      slopes_of(s.layer.activation, s.value[entry], s.z ? s.z[entry] : 0.f, s.beta ? *s.beta : 1.f);
  s.to[entry] = s.from[entry] * slopes.slope * s.times.gate[s.times.entry(row, s.layer.unit + j)];
}

}  // namespace

void add_vjp(const DeviceNet& net, const Evaluation& e, PullbackScratch& scratch,
             const FieldPoint& point, const FieldColumns<float>& rates) {
  const Stream& stream = net.stream();
  const int probes = e.form.probes;
  for (int k = 0; k < probes; ++k) {
    const float* eps = point.eps + std::size_t(k) * point.batch * net.dimension();
    const float* from = eps;
    for (std::size_t l = net.layers().size(); l-- > 0;) {
      const Layer& layer = net.layers()[l];
      SlopeArguments s;
      s.layer = layer;
      s.groups = point.groups;
      s.batch = point.batch;
      s.times = e.times;
      s.beta = net.beta_of(layer);
      s.value = e.layers[l].value;
      s.z = e.layers[l].z;
      s.from = from;
      s.to = scratch.value_bars[0];
      launch("scale_cotangents", scale_cotangents, flat_shape(std::size_t(s.batch) * layer.out()),
             stream, s);

      MultiplyArguments m;
      m.groups = point.groups;
      m.batch = point.batch;
      m.depth = layer.out();
      m.units = layer.in();
      m.expanded = layer.expanded();
      m.time = e.times.time;
      m.a = scratch.value_bars[0];
      m.b = net.weights_of(e, layer, true);
      m.b_stride = net.weight_stride();
      m.c = scratch.value_bars[1];
      m.c_stride = layer.in();
      multiply(m, stream);
      from = scratch.value_bars[1];
    }
    add_products({point.groups,
                  point.batch,
                  net.dimension(),
                  1.f / probes,
                  {},
                  from,
                  eps,
                  rates.divergence,
                  rates.stride},
                 stream);
  }
}

}  // namespace ffjord::cuda
