#include "cuda/net/blend_time.h"
#include "cuda/net/hypernet.h"
#include "cuda/net/layer_backward.h"
#include "cuda/net/layer_pass.h"
#include "cuda/net/tile_rows.h"
#include "cuda/net/weight_gradient.h"

namespace ffjord::cuda {
namespace {

LayerInput input_of(const DeviceNet& net, const LayerPass& pass, std::size_t l) {
  if (l == pass.first) return pass.input;
  const LayerTape& below = (*pass.tapes)[l - 1];
  return {below.value, net.layers()[l].in(), below.tangent, true, true};
}

void pull_weights(Reverse& reverse, const LayerPass& pass, std::size_t l) {
  const DeviceNet& net = reverse.net;
  const Stream& stream = net.stream();
  const Evaluation& e = reverse.evaluation;
  PullbackScratch& scratch = reverse.scratch;
  const FieldPoint& point = reverse.point;
  const FieldTargets& targets = reverse.targets;
  const Layer& layer = net.layers()[l];
  OuterArguments outer;
  outer.groups = point.groups;
  outer.batch = point.batch;
  outer.tangents = pass.tangents;
  outer.out = layer.out();
  outer.in = layer.in();
  outer.expanded = layer.expanded();
  outer.value_bar = reverse.value_bar();
  outer.tangent_bar = reverse.tangent_bar();
  outer.input = input_of(net, pass, l);
  outer.time = e.times.time;
  outer.slices = scratch.slices;
  if (targets.gradient || (layer.hyper() && reverse.time_bars)) {
    cut_slices(outer, layer.hyper());
    sum_outer_products(outer, stream);
  }
  if (layer.hyper() && (targets.gradient || reverse.time_bars)) {
    HypernetPullback s;
    s.net = net.arrays();
    s.layer = layer;
    s.groups = point.groups;
    s.batch = point.batch;
    s.time = e.times.time;
    s.slices = scratch.slices;
    s.slices_a_group = outer.slice_count / point.groups.count;
    s.value_sums = scratch.unit_sums + std::size_t(kGatedValue) * scratch.sum_tiles * s.net.units;
    s.tiles_a_group = row_tiles(point.groups, point.batch, layer.out()) / point.groups.count;
    s.scratch = scratch.hyper_scratch;
    s.time_bars = reverse.time_bars;
    s.gradient = targets.gradient;
    pull_hypernet(s, stream);
  } else if (targets.gradient) {
    add_weight_gradient(layer, outer, targets.gradient, stream);
  }
  if (reverse.time_bars && layer.expanded()) {
    MultiplyArguments m;
    m.groups = point.groups;
    m.batch = point.batch;
    m.channels = 1;
    m.depth = layer.out();
    m.units = layer.in();
    m.a = reverse.value_bar();
    m.b = net.weights_of(e, layer, true) + std::size_t(layer.out()) * layer.in();  // W₁ − W₀
    m.c = scratch.second;
    m.c_stride = layer.in();
    multiply(m, stream);
    if (pass.tangents > 0) {
      m.channels = pass.tangents;
      m.a = reverse.tangent_bar();
      m.c = scratch.second + std::size_t(point.batch) * layer.in();
      multiply(m, stream);
    }
    write_blend_times({point.groups, point.batch, layer.in(), pass.tangents, scratch.second,
                       input_of(net, pass, l), reverse.time_bars},
                      stream);
  }
  if (layer.moves()) reverse.passed_times(1);
}

}  // namespace

LayerPass whole_pass(const DeviceNet& net, const Evaluation& e, const FieldPoint& point) {
  return {0,
          net.layers().size(),
          e.form.tangents,
          &e.layers,
          {point.z.values, point.z.stride, e.form.unit ? nullptr : point.eps}};
}

void push(const DeviceNet& net, const Evaluation& e, const LayerPass& pass, const FieldPoint& point,
          TapeUse use) {
  if (use == TapeUse::Read) return;
  for (std::size_t l = pass.first; l < pass.end; ++l) {
    const Layer& layer = net.layers()[l];
    const LayerTape& tape = (*pass.tapes)[l];
    ForwardArguments s;
    s.layer = layer;
    s.groups = point.groups;
    s.batch = point.batch;
    s.tangents = pass.tangents;
    s.input = input_of(net, pass, l);
    if (l == 0) s.point = point.z;
    s.weight = net.weights_of(e, layer, false);
    s.weight_stride = net.weight_stride();
    s.times = e.times;
    s.beta = net.beta_of(layer);
    s.slot = point.slot;
    s.value = tape.value;
    s.tangent = tape.tangent;
    if (use == TapeUse::Keep) {
      s.z = tape.z;
      s.u = tape.u;
    }
    if (e.form.closed && l + 1 < net.layers().size()) s.closed = tape.closed;
    run_layer(s, net.stream());
  }
}

int gate_stride(const Evaluation& evaluation, const FieldPoint& point) {
  return point.groups.rows / evaluation.times.rows * evaluation.times.units;
}

FieldArguments field_of(const DeviceNet& net, const Evaluation& evaluation,
                        const FieldPoint& point) {
  const EvaluationForm& form = evaluation.form;
  const LayerTape& output = evaluation.layers.back();
  FieldArguments s;
  s.groups = point.groups;
  s.batch = point.batch;
  s.dimension = net.dimension();
  s.tangents = form.encoder > 0 ? 0 : form.tangents;
  s.weight = form.unit || s.tangents == 0 ? 1.f : 1.f / s.tangents;
  s.residual = net.residual();
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

void seed(const Reverse& reverse, const FieldColumns<const float>& bars, bool adds) {
  SeedArguments s;
  s.field = field_of(reverse.net, reverse.evaluation, reverse.point);
  s.bars = bars;
  s.value_bar = reverse.value_bar();
  s.tangent_bar = reverse.tangent_bar();
  s.z_bar = reverse.targets.z_bar;
  s.z_bar_stride = reverse.targets.z_bar_stride;
  s.sign = reverse.targets.sign;
  s.adds = adds;
  write_seeds(s, reverse.net.stream());
}

void pull_layers(Reverse& reverse, const LayerPass& pass) {
  const DeviceNet& net = reverse.net;
  const NetArrays arrays = net.arrays();
  const std::vector<Layer>& layers = net.layers();
  const Evaluation& e = reverse.evaluation;
  PullbackScratch& scratch = reverse.scratch;
  const FieldPoint& point = reverse.point;
  const FieldTargets& targets = reverse.targets;
  for (std::size_t l = pass.end; l-- > pass.first;) {
    const Layer& layer = layers[l];
    const LayerTape& tape = (*pass.tapes)[l];
    BackwardArguments s;
    s.layer = layer;
    s.groups = point.groups;
    s.batch = point.batch;
    s.tangents = pass.tangents;
    if (l + 1 < pass.end) {
      const Layer& above = layers[l + 1];
      s.above_value = reverse.value_bar();
      s.above_tangent = reverse.tangent_bar();
      s.above_out = above.out();
      s.above_expanded = above.expanded();
      s.weight = net.weights_of(e, above, true);
      s.weight_stride = net.weight_stride();
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
    s.parameters = arrays.parameters;
    s.beta = net.beta_of(layer);
    s.value_bar = reverse.value_bar();
    s.tangent_bar = reverse.tangent_bar();
    if (targets.gradient || targets.times) s.unit_sums = scratch.unit_sums;
    s.sum_tiles = scratch.sum_tiles;
    s.time_bars = reverse.time_bars;
    s.terms = targets.terms;
    pull_layer(s, net.stream());
    reverse.passed_times(unit_tiles(point.groups, point.batch, layer.out()));
    pull_weights(reverse, pass, l);
  }
  if (!targets.gradient) return;
  UnitSumArguments u;
  u.layers = arrays.layers;
  u.first_layer = static_cast<int>(pass.first);
  u.end_layer = static_cast<int>(pass.end);
  u.units = arrays.units;
  u.first_unit = layers[pass.first].unit;
  u.end_unit = layers[pass.end - 1].unit + layers[pass.end - 1].out();
  u.sum_tiles = scratch.sum_tiles;
  u.small_tiles = tiles_of(point.batch, SmallTile::kRows);
  u.large_tiles = row_tiles(point.groups, point.batch, SmallTile::kUnits + 1);
  u.large_above = SmallTile::kUnits;
  u.unit_sums = scratch.unit_sums;
  u.gradient = targets.gradient;
  add_unit_sums(u, layers.front().offsets.beta != kAbsent, net.stream());
}

MultiplyArguments input_product(const Reverse& reverse, const LayerPass& pass) {
  const DeviceNet& net = reverse.net;
  const Layer& first = net.layers()[pass.first];
  MultiplyArguments m;
  m.groups = reverse.point.groups;
  m.batch = reverse.point.batch;
  m.depth = first.out();
  m.units = first.in();
  m.expanded = first.expanded();
  m.time = reverse.evaluation.times.time;
  m.a = reverse.value_bar();
  m.b = net.weights_of(reverse.evaluation, first, true);
  m.b_stride = net.weight_stride();
  m.c_stride = first.in();
  return m;
}

void pull_rows(const Reverse& reverse, const LayerPass& pass, bool adds) {
  MultiplyArguments m = input_product(reverse, pass);
  m.c = reverse.targets.z_bar;
  m.c_stride = reverse.targets.z_bar_stride;
  m.alpha = reverse.targets.sign;
  m.adds = adds;
  multiply(m, reverse.net.stream());
}

}  // namespace ffjord::cuda
