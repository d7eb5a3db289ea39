// The passes of a DenseNet through its layers, and what becomes of their ends.
#include "cuda/net/dense_net.h"
#include "cuda/net/multiply.h"
#include "cuda/net/vjp.h"

namespace ffjord::cuda {
namespace {

// Channels of a stage's point that the first layer combines itself, once a column of its tiles.
constexpr int kMostCombined = 128;

}  // namespace

const float* DenseNet::beta_of(const Layer& layer) const {
  return layer.offsets.beta == kAbsent ? nullptr : parameters_ + layer.offsets.beta;
}

const float* DenseNet::weights_of(const Evaluation& evaluation, const Layer& layer,
                                  bool transposed) const {
  return (hyper() ? evaluation.times.packed : packed_.data()) + layer.packed +
         (transposed ? layer.weights() : 0);
}

// No context moves the output's gate, so that of a group is its first row's.
int DenseNet::gate_stride(const Evaluation& evaluation, const FieldPoint& point) const {
  return point.groups.rows / evaluation.times.rows * units_;
}

LayerPass DenseNet::whole_pass(const Evaluation& e, const FieldPoint& point) const {
  return {0,
          layers_.size(),
          e.form.tangents,
          &e.layers,
          {point.z.values, point.z.stride, e.form.unit ? nullptr : point.eps}};
}

LayerInput DenseNet::input_of(const LayerPass& pass, std::size_t l) const {
  if (l == pass.first) return pass.input;
  const LayerTape& below = (*pass.tapes)[l - 1];
  return {below.value, layers_[l].in, below.tangent, true, true};
}

void DenseNet::push(const Evaluation& e, const LayerPass& pass, const FieldPoint& point,
                    TapeUse use) const {
  if (use == TapeUse::Stands) return;
  for (std::size_t l = pass.first; l < pass.end; ++l) {
    const Layer& layer = layers_[l];
    const LayerTape& tape = (*pass.tapes)[l];
    ForwardArguments s;
    s.layer = layer;
    s.groups = point.groups;
    s.batch = point.batch;
    s.tangents = pass.tangents;
    s.input = input_of(pass, l);
    if (l == 0) s.point = point.z;
    s.weight = weights_of(e, layer, false);
    s.weight_stride = weight_stride();
    s.times = e.times;
    s.beta = beta_of(layer);
    s.slot = point.slot;
    s.value = tape.value;
    s.tangent = tape.tangent;
    if (use == TapeUse::Keep) {
      s.z = tape.z;
      s.u = tape.u;
    }
    if (e.form.closed && l + 1 < layers_.size()) s.closed = tape.closed;
    run_layer(s, stream_);
  }
}

FieldArguments DenseNet::field_of(const Evaluation& evaluation, const FieldPoint& point) const {
  const EvaluationForm& form = evaluation.form;
  const LayerTape& output = evaluation.layers.back();
  FieldArguments s;
  s.groups = point.groups;
  s.batch = point.batch;
  s.dimension = dimension_;
  s.tangents = form.encoder > 0 ? 0 : form.tangents;
  s.weight = form.unit || s.tangents == 0 ? 1.f : 1.f / s.tangents;
  s.residual = residual_;
  s.regularisers = form.regularisers;
  s.direction = point.direction;
  s.z = point.z.values;
  s.z_stride = point.z.stride;
  s.eps = form.unit ? nullptr : point.eps;
  s.slot = point.slot;
  s.output = output.value;
  s.tangent = output.tangent;
  return s;
}

void DenseNet::evaluate(Evaluation& e, PullbackScratch* scratch, const EvaluationForm& wanted,
                        const FieldPoint& at, const FieldColumns<float>& rates, TapeUse use) const {
  FieldPoint point = at;
  if (!point.z.stands() && (use == TapeUse::Stands || dimension_ > kMostCombined))
    combine_point(point.groups, point.batch, dimension_, point.z, stream_);
  e.form = wanted;
  const bool vjp = wanted.vjp && use == TapeUse::Pass;
  if (vjp) e.form.tangents = 0;
  e.times.rows = conditional() ? 1 : point.groups.rows;
  set_times(arrays(), layers_, {point.groups, point.c, point.batch, point.terms}, e.times, stream_);
  if (e.form.encoder > 0) return evaluate_bottleneck(e, point, rates, use);

  push(e, whole_pass(e, point), point, vjp ? TapeUse::Keep : use);
  FieldArguments field = field_of(e, point);
  if (e.form.closed) close_trace(e, point, use, field);
  write_rates(field, rates, stream_);
  if (vjp) pull_vjp(e, *scratch, point, rates);
}

void DenseNet::pull_vjp(const Evaluation& e, PullbackScratch& scratch, const FieldPoint& point,
                        const FieldColumns<float>& rates) const {
  const int probes = e.form.probes;
  for (int k = 0; k < probes; ++k) {
    const float* eps = point.eps + std::size_t(k) * point.batch * dimension_;
    const float* from = eps;
    for (std::size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      SlopeArguments s;
      s.layer = layer;
      s.groups = point.groups;
      s.batch = point.batch;
      s.times = e.times;
      s.beta = beta_of(layer);
      s.value = e.layers[l].value;
      s.z = e.layers[l].z;
      s.from = from;
      s.to = scratch.value_bars[0];
      scale_by_slopes(s, stream_);

      MultiplyArguments m;
      m.groups = point.groups;
      m.batch = point.batch;
      m.depth = layer.out;
      m.units = layer.in;
      m.expanded = layer.expanded();
      m.time = e.times.time;
      m.a = scratch.value_bars[0];
      m.b = weights_of(e, layer, true);
      m.b_stride = weight_stride();
      m.c = scratch.value_bars[1];
      m.c_stride = layer.in;
      multiply(m, stream_);
      from = scratch.value_bars[1];
    }
    add_products({point.groups,
                  point.batch,
                  dimension_,
                  1.f / probes,
                  {},
                  from,
                  eps,
                  rates.divergence,
                  rates.stride},
                 stream_);
  }
}

}  // namespace ffjord::cuda
