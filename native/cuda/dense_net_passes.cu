// The passes of a DenseNet: evaluation, and reverse over dual.
#include "cuda/blend_time.h"
#include "cuda/closed_trace.h"
#include "cuda/dense_net.h"
#include "cuda/hypernet.h"
#include "cuda/multiply.h"
#include "cuda/tiling.h"
#include "cuda/vjp.h"

namespace ffjord::cuda {

const float* DenseNet::beta_of(const Layer& layer) const {
  return layer.offsets.beta == kAbsent ? nullptr : parameters_ + layer.offsets.beta;
}

LayerInput DenseNet::input_of(const Evaluation& evaluation, const FieldPoint& point,
                              std::size_t l) const {
  if (l == 0) return {point.z, point.z_stride, evaluation.form.unit ? nullptr : point.eps};
  const LayerTape& below = evaluation.layers[l - 1];
  return {below.value, layers_[l].in, below.tangent};
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

FieldArguments DenseNet::field_of(const Evaluation& evaluation, const FieldPoint& point) const {
  const EvaluationForm& form = evaluation.form;
  const LayerTape& output = evaluation.layers.back();
  FieldArguments s;
  s.groups = point.groups;
  s.batch = point.batch;
  s.dimension = dimension_;
  s.tangents = form.tangents;
  s.weight = form.unit || form.tangents == 0 ? 1.f : 1.f / form.tangents;
  s.residual = residual_;
  s.regularisers = form.regularisers;
  s.direction = point.direction;
  s.z = point.z;
  s.z_stride = point.z_stride;
  s.eps = form.unit ? nullptr : point.eps;
  s.output = output.value;
  s.tangent = output.tangent;
  return s;
}

void DenseNet::evaluate(Evaluation& e, PullbackScratch* scratch, const EvaluationForm& wanted,
                        const FieldPoint& point, const FieldColumns<float>& rates,
                        bool keep) const {
  e.form = wanted;
  const bool vjp = wanted.vjp && !keep;
  if (vjp) e.form.tangents = 0;
  e.times.rows = conditional() ? 1 : point.groups.rows;
  set_times(arrays(), layers_, {point.groups, point.c, point.batch, point.terms}, e.times, stream_);
  if (e.form.closed && gated_output())
    set_closed(arrays(), layers_, e.times.gate + layers_.back().unit, gate_stride(e, point),
               point.groups.count, e.closed, stream_);

  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const LayerTape& tape = e.layers[l];
    ForwardArguments s;
    s.layer = layer;
    s.groups = point.groups;
    s.batch = point.batch;
    s.tangents = e.form.tangents;
    s.input = input_of(e, point, l);
    s.weight = weights_of(e, layer, false);
    s.weight_stride = weight_stride();
    s.times = e.times;
    s.beta = beta_of(layer);
    s.value = tape.value;
    s.tangent = tape.tangent;
    if (keep || vjp) {
      s.z = tape.z;
      s.u = tape.u;
    }
    if (e.form.closed && l + 1 < layers_.size()) s.closed = tape.closed;
    run_layer(s, stream_);
  }

  FieldArguments field = field_of(e, point);
  if (e.form.closed) {
    const ClosedArrays& closed = closed_of(e);
    const Layer& first = layers_.front();
    field.closed_width = layers_.size() == 3 ? layers_[1].out : first.out;
    if (layers_.size() == 3) {
      MultiplyArguments m;
      m.groups = point.groups;
      m.batch = point.batch;
      m.depth = first.out;
      m.units = layers_[1].out;
      m.a = e.layers[0].closed;
      m.b = closed.m_transposed;
      m.b_stride = gated_output() ? std::size_t(m.depth) * m.units : 0;
      m.c = e.closed_product;
      m.c_stride = m.units;
      multiply(m, stream_);
      field.closed_left = e.layers[1].closed;
      field.closed_right = e.closed_product;
    } else {
      field.closed_left = closed.c;
      field.closed_left_rows = gated_output() ? point.groups.rows : point.batch;
      field.closed_right = e.layers[0].closed;
    }
  }
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
    add_products(point.groups, point.batch, dimension_, 1.f / probes, from, eps, rates.divergence,
                 rates.stride, stream_);
  }
}

void DenseNet::pullback(const Evaluation& e, PullbackScratch& scratch, const FieldPoint& point,
                        const FieldColumns<const float>& bars, const FieldTargets& targets) const {
  const bool sums = targets.gradient || targets.times;
  float* time_bars = targets.times ? scratch.time_bars : nullptr;
  int current = 0;
  SeedArguments seeds;
  seeds.field = field_of(e, point);
  seeds.bars = bars;
  seeds.value_bar = scratch.value_bars[current];
  seeds.tangent_bar = scratch.tangent_bars[current];
  seeds.z_bar = targets.z_bar;
  seeds.z_bar_stride = targets.z_bar_stride;
  seeds.sign = targets.sign;
  write_seeds(seeds, stream_);
  if (e.form.closed) time_bars = pull_closed_trace(e, scratch, point, bars, targets, time_bars);

  for (std::size_t l = layers_.size(); l-- > 0;) {
    const Layer& layer = layers_[l];
    const LayerTape& tape = e.layers[l];
    BackwardArguments s;
    s.layer = layer;
    s.groups = point.groups;
    s.batch = point.batch;
    s.tangents = e.form.tangents;
    if (l + 1 < layers_.size()) {
      const Layer& above = layers_[l + 1];
      s.above_value = scratch.value_bars[current];
      s.above_tangent = scratch.tangent_bars[current];
      s.above_out = above.out;
      s.above_expanded = above.expanded();
      s.weight = weights_of(e, above, true);
      s.weight_stride = weight_stride();
      current = 1 - current;
      if (e.form.closed) {
        s.closed = tape.closed;
        s.closed_bar = scratch.closed_bars[l];
      }
    }
    s.value = tape.value;
    s.tangent = tape.tangent;
    s.z = tape.z;
    s.u = tape.u;
    s.times = e.times;
    s.parameters = parameters_;
    s.beta = beta_of(layer);
    s.value_bar = scratch.value_bars[current];
    s.tangent_bar = scratch.tangent_bars[current];
    if (sums) s.unit_sums = scratch.unit_sums;
    s.sum_tiles = scratch.sum_tiles;
    s.time_bars = time_bars;
    s.terms = targets.terms;
    pull_layer(s, stream_);
    if (time_bars)
      time_bars += std::size_t(unit_tiles(point.groups, point.batch, layer.out)) * point.batch;
    time_bars = pull_weights(e, scratch, point, l, current, targets, time_bars);
  }

  const Layer& first = layers_.front();
  MultiplyArguments m;
  m.groups = point.groups;
  m.batch = point.batch;
  m.depth = first.out;
  m.units = first.in;
  m.expanded = first.expanded();
  m.time = e.times.time;
  m.a = scratch.value_bars[current];
  m.b = weights_of(e, first, true);
  m.b_stride = weight_stride();
  m.c = targets.z_bar;
  m.c_stride = targets.z_bar_stride;
  m.alpha = targets.sign;
  m.adds = true;
  multiply(m, stream_);

  if (time_bars)
    scratch.used_time_parts = static_cast<int>((time_bars - scratch.time_bars) / point.batch);
  if (!targets.gradient) return;
  UnitSumArguments u;
  u.layers = device_layers_.data();
  u.layer_count = static_cast<int>(layers_.size());
  u.units = units_;
  u.sum_tiles = scratch.sum_tiles;
  u.small_tiles = tiles_of(point.batch, SmallTile::kRows);
  u.large_tiles = row_tiles(point.groups, point.batch, SmallTile::kUnits + 1);
  u.large_above = SmallTile::kUnits;
  u.unit_sums = scratch.unit_sums;
  u.gradient = targets.gradient;
  add_unit_sums(u, layers_.front().offsets.beta != kAbsent, stream_);
}

float* DenseNet::pull_closed_trace(const Evaluation& e, PullbackScratch& scratch,
                                   const FieldPoint& point, const FieldColumns<const float>& bars,
                                   const FieldTargets& targets, float* time_bars) const {
  const Layer& first = layers_.front();
  const bool two = layers_.size() == 3, gated = gated_output();
  ClosedPullback s;
  s.net = arrays();
  s.groups = point.groups;
  s.batch = point.batch;
  s.sets = gated ? point.groups.count : 1;
  s.closed = closed_of(e);
  s.divergence_bar = bars.divergence;
  s.bar_stride = bars.stride;
  OuterArguments outer;
  outer.groups = point.groups;
  outer.batch = point.batch;
  outer.in = first.out;
  outer.input = {e.layers[0].closed, first.out, nullptr};
  outer.slices = scratch.slices;
  outer.value_bar = scratch.closed_weighted;
  if (two) {
    const Layer& middle = layers_[1];
    scale_rows(s, e.closed_product, 1, middle.out, scratch.closed_bars[1], stream_);
    scale_rows(s, e.layers[1].closed, 1, middle.out, scratch.closed_weighted, stream_);
    MultiplyArguments m;
    m.groups = point.groups;
    m.batch = point.batch;
    m.depth = middle.out;
    m.units = first.out;
    m.a = scratch.closed_weighted;
    m.b = s.closed.m;
    m.b_stride = gated ? std::size_t(m.depth) * m.units : 0;
    m.c = scratch.closed_bars[0];
    m.c_stride = first.out;
    multiply(m, stream_);
    outer.out = middle.out;
  } else {
    const int rows = gated ? point.groups.rows : point.batch;
    scale_rows(s, s.closed.c, rows, first.out, scratch.closed_bars[0], stream_);
    scale_rows(s, one_.data(), point.batch, 1, scratch.closed_weighted, stream_);
    outer.out = 1;
  }
  if (!targets.gradient && !(targets.times && gated)) return time_bars;
  cut_slices(outer, gated);
  sum_outer_products(outer, stream_);
  s.slices = scratch.slices;
  s.slices_a_set = outer.slice_count / s.sets;
  if (gated) {
    s.output_gate = e.times.gate + layers_.back().unit;
    s.gate_stride = gate_stride(e, point);
  }
  s.time = e.times.time;
  s.scratch = scratch.closed_scratch;
  s.time_bars = gated ? time_bars : nullptr;
  s.gradient = targets.gradient;
  pull_closed(s, layers_, stream_);
  return s.time_bars ? time_bars + point.batch : time_bars;
}

float* DenseNet::pull_weights(const Evaluation& e, PullbackScratch& scratch,
                              const FieldPoint& point, std::size_t l, int current,
                              const FieldTargets& targets, float* time_bars) const {
  const Layer& layer = layers_[l];
  OuterArguments outer;
  outer.groups = point.groups;
  outer.batch = point.batch;
  outer.tangents = e.form.tangents;
  outer.out = layer.out;
  outer.in = layer.in;
  outer.expanded = layer.expanded();
  outer.value_bar = scratch.value_bars[current];
  outer.tangent_bar = scratch.tangent_bars[current];
  outer.input = input_of(e, point, l);
  outer.time = e.times.time;
  outer.slices = scratch.slices;
  if (targets.gradient || (layer.hyper() && time_bars)) {
    cut_slices(outer, layer.hyper());
    sum_outer_products(outer, stream_);
  }
  if (layer.hyper() && (targets.gradient || time_bars)) {
    HypernetPullback s;
    s.net = arrays();
    s.layer = layer;
    s.groups = point.groups;
    s.batch = point.batch;
    s.time = e.times.time;
    s.slices = scratch.slices;
    s.slices_a_group = outer.slice_count / point.groups.count;
    s.value_sums = scratch.unit_sums + std::size_t(kGatedValue) * scratch.sum_tiles * units_;
    s.tiles_a_group = row_tiles(point.groups, point.batch, layer.out) / point.groups.count;
    s.scratch = scratch.hyper_scratch;
    s.time_bars = time_bars;
    s.gradient = targets.gradient;
    pull_hypernet(s, stream_);
  } else if (targets.gradient) {
    add_weight_gradient(layer, outer, 1, targets.gradient, stream_);
  }
  if (time_bars && layer.expanded()) {
    MultiplyArguments m;
    m.groups = point.groups;
    m.batch = point.batch;
    m.channels = 1;
    m.depth = layer.out;
    m.units = layer.in;
    m.a = scratch.value_bars[current];
    m.b = weights_of(e, layer, true) + std::size_t(layer.out) * layer.in;  // W₁ − W₀
    m.c = scratch.second;
    m.c_stride = layer.in;
    multiply(m, stream_);
    if (e.form.tangents > 0) {
      m.channels = e.form.tangents;
      m.a = scratch.tangent_bars[current];
      m.c = scratch.second + std::size_t(point.batch) * layer.in;
      multiply(m, stream_);
    }
    write_blend_times({point.groups, point.batch, layer.in, e.form.tangents, scratch.second,
                       input_of(e, point, l), time_bars},
                      stream_);
  }
  return time_bars && (layer.hyper() || layer.expanded()) ? time_bars + point.batch : time_bars;
}

}  // namespace ffjord::cuda
