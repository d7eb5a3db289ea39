#include <utility>

#include "cuda/net/blend_time.h"
#include "cuda/net/hypernet.h"
#include "cuda/net/layer_backward.h"
#include "cuda/net/layer_pullback.h"
#include "cuda/net/octet_backward.h"
#include "cuda/net/octet_way.h"
#include "cuda/net/pass_operands.h"
#include "cuda/net/pixel_sums.h"
#include "cuda/net/planes.h"
#include "cuda/net/tile_rows.h"
#include "cuda/net/weight_gradient.h"

namespace ffjord::cuda {
namespace {

// Sums over pixels of what pull_layer left for each, of a convolution.
void sum_pixels(Reverse& reverse, const Layer& layer, const BackwardArguments& pulled,
                int unit_tiles) {
  const Stream& stream = reverse.net.stream();
  const FieldPoint& point = reverse.point;
  const FieldTargets& targets = reverse.targets;
  if (reverse.time_bars)
    sum_pixel_times({point.groups, point.batch, layer.pixels(), unit_tiles, pulled.time_bars,
                     reverse.time_bars},
                    stream);
  if (targets.terms.data) {
    PixelTerms s{point.groups,     point.batch,   layer.pixels(), layer.out(),
                 pulled.value_bar, targets.terms, layer.bias_term};
    if (layer.bias_term != kNoTerm) add_pixel_terms(s, stream);
    s.bars = pulled.logit_bar;
    s.first = layer.gate_term;
    if (layer.gate_term != kNoTerm) add_pixel_terms(s, stream);
  }
  if (targets.gradient && layer.has_planes())
    add_plane_gradients({layer, reverse.net.walk_of(layer), point.groups, point.batch,
                         reverse.evaluation.times.time, pulled.value_bar,
                         reverse.scratch.plane_sums, targets.gradient},
                        stream);
}

void pull_weights(Reverse& reverse, const LayerPass& pass, std::size_t l) {
  const DeviceNet& net = reverse.net;
  const Stream& stream = net.stream();
  const Evaluation& e = reverse.evaluation;
  PullbackScratch& scratch = reverse.scratch;
  const FieldPoint& point = reverse.point;
  const FieldTargets& targets = reverse.targets;
  const Layer& layer = net.layers()[l];
  OuterArguments outer = net.outer_products(layer, point.batch, pass.tangents);
  outer.groups = point.groups.pixels_of(layer.pixels());
  outer.value_bar = reverse.value_bar();
  outer.tangent_bar = reverse.tangent_bar();
  outer.input = input_of(net, pass, l);
  outer.time = e.times.time;
  outer.slices = scratch.slices;
  outer.columns = scratch.columns;
  if (targets.gradient || (layer.hyper() && reverse.time_bars)) {
    cut_slices(outer, layer.hyper(), stream.options());
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
    const int size = static_cast<int>(layer.map.size_in());
    MultiplyArguments m = back_product(net, e, layer, point);
    m.expanded = false;
    m.a = reverse.value_bar();
    m.b += layer.map.weight_count();  // W₁ − W₀
    m.c = scratch.second;
    multiply(m, stream);
    if (pass.tangents > 0) {
      m.channels = pass.tangents;
      m.a = reverse.tangent_bar();
      m.c = scratch.second + std::size_t(point.batch) * size;
      multiply(m, stream);
    }
    LayerInput input = input_of(net, pass, l);
    if (net.convolutional()) input.value_stride = size;  // all its pixels
    write_blend_times(
        {point.groups, point.batch, size, pass.tangents, scratch.second, input, reverse.time_bars},
        stream);
  }
  if (layer.moves()) reverse.passed_times(1);
}

// What pulled layers have summed over tiles of rows joins the gradients; `tiles` as
// UnitSumArguments has them.
void add_sums(const Reverse& reverse, std::size_t first, std::size_t end, int tiles) {
  const DeviceNet& net = reverse.net;
  const NetArrays arrays = net.arrays();
  const std::vector<Layer>& layers = net.layers();
  UnitSumArguments u;
  u.layers = arrays.layers;
  u.first_layer = static_cast<int>(first);
  u.end_layer = static_cast<int>(end);
  u.units = arrays.units;
  u.first_unit = layers[first].unit;
  u.end_unit = layers[end - 1].unit + layers[end - 1].out();
  u.groups = reverse.point.groups;
  u.batch = reverse.point.batch;
  u.sum_tiles = reverse.scratch.sum_tiles;
  u.tiles = tiles;
  u.over_pixels = net.convolutional();
  u.unit_sums = reverse.scratch.unit_sums;
  u.gradient = reverse.targets.gradient;
  add_unit_sums(u, layers.front().offsets.beta != kAbsent, net.stream());
}

// Octets of what comes from above, where it left none.
OctetRows split_bars(const Evaluation& e, const BackwardArguments& layer, const RowLines& lines,
                     const Stream& stream) {
  SplitArguments s;
  s.groups = layer.groups;
  s.batch = layer.batch;
  s.tangents = layer.tangents;
  s.input = {layer.above_value, layer.above_out, layer.above_tangent};
  s.rows = octets_beside(e, {}, 1 + s.tangents, layer.above_out, lines);
  split_rows(s, stream);
  return s.rows;
}

// Whether a layer's cotangents are made by what octet_backward.h has: of the product of the layer
// above, or, where there is none, of what lies there.
bool takes_octets_back(const DeviceNet& net, const BackwardArguments& s, const Layer* above) {
  if (!takes_large_tiles(s.groups, s.batch, s.layer.out())) return false;
  const CudaOptions& options = net.stream().options();
  if (!above) return chosen_products(options) != Products::Float32;
  const OctetWay way = octet_way_back(*above, options);
  return way == OctetWay::Depth || way == OctetWay::FewChannels;
}

// One layer's cotangents, on prepared operands where it takes them; returns how many tiles of rows
// and of units it was cut into.
std::pair<int, int> pull_one(Reverse& reverse, const BackwardArguments& s, const Layer* above) {
  const DeviceNet& net = reverse.net;
  const Evaluation& e = reverse.evaluation;
  const OctetRows bars = std::exchange(reverse.octets, {});
  if (!takes_octets_back(net, s, above)) {
    pull_layer(s, net.stream());
    return {row_tiles(s.groups, s.batch, s.layer.out()),
            unit_tiles(s.groups, s.batch, s.layer.out())};
  }
  OctetBackward pulled;
  pulled.layer = s;
  pulled.lines = lines_of(s.layer, reverse.point.batch);
  if (above && octet_way_back(*above, net.stream().options()) == OctetWay::FewChannels)
    pulled.few = {s.above_value,
                  s.above_tangent,
                  std::size_t(s.batch) * s.above_out,
                  s.above_out,
                  s.layer.out(),
                  pulled.lines,
                  s.weight,
                  true};
  else if (above)
    pulled.factors =
        factors_back(*above, bars.slabs ? bars : split_bars(e, s, pulled.lines, net.stream()),
                     net.octets_back(*above));
  if (net.octets_back(s.layer).slabs)
    pulled.below =
        octets_beside(e, pulled.factors.rows, 1 + s.tangents, s.layer.out(), pulled.lines);
  pulled.slices = e.octets->slices;
  pulled.logits = reverse.scratch.logits;
  pulled.betas = reverse.scratch.betas;
  pull_octet_layer(pulled, net.stream());
  reverse.octets = pulled.below;
  return {pulled.lines.tiles(), octet_unit_tiles(pulled)};
}

}  // namespace

void seed(const Reverse& reverse, const FieldColumns<const float>& bars, bool adds) {
  SeedArguments s;
  s.field = field_of(reverse.net, reverse.evaluation, reverse.point);
  s.bars = bars;
  const bool images = reverse.net.convolutional();
  s.value_bar = images ? reverse.scratch.joined_bars[0] : reverse.value_bar();
  s.tangent_bar = images ? reverse.scratch.joined_bars[1] : reverse.tangent_bar();
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
    s.groups = point.groups.pixels_of(layer.pixels());
    s.batch = point.batch * layer.pixels();
    s.tangents = pass.tangents;
    const Layer* const above = l + 1 < pass.end ? &layers[l + 1] : nullptr;
    if (above) {
      s.above_value = reverse.value_bar();
      s.above_tangent = reverse.tangent_bar();
      s.above_out = above->out();
      s.above_expanded = above->expanded();
      s.above_taps = net.taps_back(*above);
      s.weight = net.weights_of(e, *above, true);
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
    s.times = pixel_times(e.times, layer);
    s.planes = net.planes_of(layer);
    s.parameters = arrays.parameters;
    s.beta = net.beta_of(layer);
    s.value_bar = reverse.value_bar();
    s.tangent_bar = reverse.tangent_bar();
    if (targets.gradient || targets.times) s.unit_sums = scratch.unit_sums;
    s.sum_tiles = scratch.sum_tiles;
    if (net.convolutional()) {
      if (reverse.time_bars) s.time_bars = scratch.pixel_times;
      if (targets.terms.data && layer.gate_term != kNoTerm) s.logit_bar = scratch.pixel_logits;
    } else {
      s.time_bars = reverse.time_bars;
      s.terms = targets.terms;
    }
    const auto [row_parts, unit_parts] = pull_one(reverse, s, above);
    if (net.convolutional()) sum_pixels(reverse, layer, s, unit_parts);
    reverse.passed_times(net.convolutional() ? 1 : unit_parts);
    if (targets.gradient && net.convolutional()) add_sums(reverse, l, l + 1, row_parts);
    pull_weights(reverse, pass, l);
  }
  if (targets.gradient && !net.convolutional()) add_sums(reverse, pass.first, pass.end, 0);
}

MultiplyArguments back_product(const DeviceNet& net, const Evaluation& e, const Layer& layer,
                               const FieldPoint& point) {
  MultiplyArguments m;
  m.groups = point.groups.pixels_of(layer.in_pixels());
  m.batch = point.batch * layer.in_pixels();
  m.depth = layer.taps() * layer.out();
  m.units = layer.in();
  m.expanded = layer.expanded();
  m.taps = net.taps_back(layer);
  m.time = e.times.time;
  m.b = net.weights_of(e, layer, true);
  m.b_stride = net.weight_stride();
  m.c_stride = layer.in();
  return m;
}

MultiplyArguments input_product(const Reverse& reverse, const LayerPass& pass) {
  const Layer& first = reverse.net.layers()[pass.first];
  MultiplyArguments m = back_product(reverse.net, reverse.evaluation, first, reverse.point);
  m.a = reverse.value_bar();
  return m;
}

void pull_input(const Reverse& reverse, const LayerPass& pass, const InputBars& to) {
  const Layer& first = reverse.net.layers()[pass.first];
  const Stream& stream = reverse.net.stream();
  if (reverse.octets.slabs)
    return multiply({reverse.point.groups, reverse.point.batch * first.in_pixels(),
                     factors_back(first, reverse.octets, reverse.net.octets_back(first)),
                     reverse.evaluation.octets->slices, to.values, to.stride, to.sign, to.adds},
                    stream);
  MultiplyArguments m = input_product(reverse, pass);
  m.c = to.values;
  m.c_stride = to.stride;
  m.alpha = to.sign;
  m.adds = to.adds;
  multiply(m, stream);
}

void pull_rows(const Reverse& reverse, const LayerPass& pass, bool adds) {
  const FieldTargets& targets = reverse.targets;
  pull_input(reverse, pass, {targets.z_bar, targets.z_bar_stride, targets.sign, adds});
}

}  // namespace ffjord::cuda
