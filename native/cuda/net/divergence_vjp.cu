#include "cuda/device/grid.h"
#include "cuda/net/activations.h"
#include "cuda/net/divergence_vjp.h"
#include "cuda/net/layer_pullback.h"
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
  const int row = static_cast<int>(entry / s.layer.map.size_out()),  // of the batch
      j = static_cast<int>(entry % s.layer.out());
  if (row >= s.batch || !s.groups.of_row(row).working) return;
  const Slopes slopes =
      slopes_of(s.layer.activation, s.value[entry], s.z ? s.z[entry] : 0.f, s.beta ? *s.beta : 1.f);
  s.to[entry] = s.from[entry] * slopes.slope * s.times.gate[s.times.entry(row, s.layer.unit + j)];
}

}  // namespace

void add_vjp(const DeviceNet& net, const Evaluation& e, PullbackScratch& scratch,
             const FieldPoint& point, const LayerPass& pass, const float* probes_eps,
             const FieldColumns<float>& rates) {
  const Stream& stream = net.stream();
  const int probes = e.form.probes;
  for (int k = 0; k < probes; ++k) {
    const float* eps = probes_eps + std::size_t(k) * point.batch * net.dimension();
    const float* from = eps;
    for (std::size_t l = pass.end; l-- > pass.first;) {
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
      launch("scale_cotangents", scale_cotangents, flat_shape(s.batch * layer.map.size_out()),
             stream, s);

      MultiplyArguments m = back_product(net, e, layer, point);
      m.a = scratch.value_bars[0];
      m.c = scratch.value_bars[1];
      multiply(m, stream);
      from = scratch.value_bars[1];
    }
    add_products({point.groups,
                  point.batch,
                  net.dimension(),
                  1,
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
