// Reverse over dual through the layers of a DenseNet.
#include "cuda/net/blend_time.h"
#include "cuda/net/dense_net.h"
#include "cuda/net/hypernet.h"
#include "cuda/net/tile_rows.h"

namespace ffjord::cuda {

void DenseNet::pullback(const Evaluation& e, PullbackScratch& scratch, const FieldPoint& point,
                        const FieldColumns<const float>& bars, const FieldTargets& targets) const {
  Reverse reverse{e, scratch, point, targets, targets.times ? scratch.time_bars : nullptr};
  if (e.form.encoder > 0) {
    pull_bottleneck(reverse, bars);
  } else {
    const LayerPass pass = whole_pass(e, point);
    seed(reverse, bars, false);
    if (e.form.closed) pull_closed_trace(reverse, bars);
    pull_layers(reverse, pass);
    pull_rows(reverse, pass, true);
  }
  if (targets.times)
    scratch.used_time_parts =
        static_cast<int>((reverse.time_bars - scratch.time_bars) / point.batch);
}

void DenseNet::seed(const Reverse& reverse, const FieldColumns<const float>& bars,
                    bool adds) const {
  SeedArguments s;
  s.field = field_of(reverse.evaluation, reverse.point);
  s.bars = bars;
  s.value_bar = reverse.value_bar();
  s.tangent_bar = reverse.tangent_bar();
  s.z_bar = reverse.targets.z_bar;
  s.z_bar_stride = reverse.targets.z_bar_stride;
  s.sign = reverse.targets.sign;
  s.adds = adds;
  write_seeds(s, stream_);
}

void DenseNet::pull_layers(Reverse& reverse, const LayerPass& pass) const {
  const Evaluation& e = reverse.evaluation;
  PullbackScratch& scratch = reverse.scratch;
  const FieldPoint& point = reverse.point;
  const FieldTargets& targets = reverse.targets;
  for (std::size_t l = pass.end; l-- > pass.first;) {
    const Layer& layer = layers_[l];
    const LayerTape& tape = (*pass.tapes)[l];
    BackwardArguments s;
    s.layer = layer;
    s.groups = point.groups;
    s.batch = point.batch;
    s.tangents = pass.tangents;
    if (l + 1 < pass.end) {
      const Layer& above = layers_[l + 1];
      s.above_value = reverse.value_bar();
      s.above_tangent = reverse.tangent_bar();
      s.above_out = above.out;
      s.above_expanded = above.expanded();
      s.weight = weights_of(e, above, true);
      s.weight_stride = weight_stride();
      reverse.turn();
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
    s.value_bar = reverse.value_bar();
    s.tangent_bar = reverse.tangent_bar();
    if (targets.gradient || targets.times) s.unit_sums = scratch.unit_sums;
    s.sum_tiles = scratch.sum_tiles;
    s.time_bars = reverse.time_bars;
    s.terms = targets.terms;
    pull_layer(s, stream_);
    reverse.passed_times(unit_tiles(point.groups, point.batch, layer.out));
    pull_weights(reverse, pass, l);
  }
  if (!targets.gradient) return;
  UnitSumArguments u;
  u.layers = device_layers_.data();
  u.first_layer = static_cast<int>(pass.first);
  u.end_layer = static_cast<int>(pass.end);
  u.units = units_;
  u.first_unit = layers_[pass.first].unit;
  u.end_unit = layers_[pass.end - 1].unit + layers_[pass.end - 1].out;
  u.sum_tiles = scratch.sum_tiles;
  u.small_tiles = tiles_of(point.batch, SmallTile::kRows);
  u.large_tiles = row_tiles(point.groups, point.batch, SmallTile::kUnits + 1);
  u.large_above = SmallTile::kUnits;
  u.unit_sums = scratch.unit_sums;
  u.gradient = targets.gradient;
  add_unit_sums(u, layers_.front().offsets.beta != kAbsent, stream_);
}

MultiplyArguments DenseNet::input_product(const Reverse& reverse, const LayerPass& pass) const {
  const Layer& first = layers_[pass.first];
  MultiplyArguments m;
  m.groups = reverse.point.groups;
  m.batch = reverse.point.batch;
  m.depth = first.out;
  m.units = first.in;
  m.expanded = first.expanded();
  m.time = reverse.evaluation.times.time;
  m.a = reverse.value_bar();
  m.b = weights_of(reverse.evaluation, first, true);
  m.b_stride = weight_stride();
  m.c_stride = first.in;
  return m;
}

void DenseNet::pull_rows(const Reverse& reverse, const LayerPass& pass, bool adds) const {
  MultiplyArguments m = input_product(reverse, pass);
  m.c = reverse.targets.z_bar;
  m.c_stride = reverse.targets.z_bar_stride;
  m.alpha = reverse.targets.sign;
  m.adds = adds;
  multiply(m, stream_);
}

void DenseNet::pull_weights(Reverse& reverse, const LayerPass& pass, std::size_t l) const {
  const Evaluation& e = reverse.evaluation;
  PullbackScratch& scratch = reverse.scratch;
  const FieldPoint& point = reverse.point;
  const FieldTargets& targets = reverse.targets;
  const Layer& layer = layers_[l];
  OuterArguments outer;
  outer.groups = point.groups;
  outer.batch = point.batch;
  outer.tangents = pass.tangents;
  outer.out = layer.out;
  outer.in = layer.in;
  outer.expanded = layer.expanded();
  outer.value_bar = reverse.value_bar();
  outer.tangent_bar = reverse.tangent_bar();
  outer.input = input_of(pass, l);
  outer.time = e.times.time;
  outer.slices = scratch.slices;
  if (targets.gradient || (layer.hyper() && reverse.time_bars)) {
    cut_slices(outer, layer.hyper());
    sum_outer_products(outer, stream_);
  }
  if (layer.hyper() && (targets.gradient || reverse.time_bars)) {
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
    s.time_bars = reverse.time_bars;
    s.gradient = targets.gradient;
    pull_hypernet(s, stream_);
  } else if (targets.gradient) {
    add_weight_gradient(layer, outer, 1, targets.gradient, stream_);
  }
  if (reverse.time_bars && layer.expanded()) {
    MultiplyArguments m;
    m.groups = point.groups;
    m.batch = point.batch;
    m.channels = 1;
    m.depth = layer.out;
    m.units = layer.in;
    m.a = reverse.value_bar();
    m.b = weights_of(e, layer, true) + std::size_t(layer.out) * layer.in;  // W₁ − W₀
    m.c = scratch.second;
    m.c_stride = layer.in;
    multiply(m, stream_);
    if (pass.tangents > 0) {
      m.channels = pass.tangents;
      m.a = reverse.tangent_bar();
      m.c = scratch.second + std::size_t(point.batch) * layer.in;
      multiply(m, stream_);
    }
    write_blend_times({point.groups, point.batch, layer.in, pass.tangents, scratch.second,
                       input_of(pass, l), reverse.time_bars},
                      stream_);
  }
  if (layer.hyper() || layer.expanded()) reverse.passed_times(1);
}

}  // namespace ffjord::cuda
