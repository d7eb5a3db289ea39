#include "cuda/net/layer_pass.h"
#include "cuda/net/octet_forward.h"
#include "cuda/net/octet_way.h"
#include "cuda/net/pass_operands.h"
#include "cuda/net/tile_rows.h"

namespace ffjord::cuda {
namespace {

// Octets of what a layer reads, of which unit vectors have none.
OctetRows split_input(const Evaluation& e, const ForwardArguments& layer, const RowLines& lines,
                      const Stream& stream) {
  SplitArguments s;
  s.groups = layer.groups;
  s.batch = layer.batch;
  s.tangents = layer.input.tangents ? layer.tangents : 0;
  s.input = layer.input;
  s.slot = layer.slot;
  s.point = layer.point;
  s.rows = octets_beside(e, {}, 1 + s.tangents, layer.layer.in(), lines);
  split_rows(s, stream);
  return s.rows;
}

}  // namespace

LayerPass branch_pass(const DeviceNet& net, const Evaluation& e, std::size_t branch) {
  const auto [first, end, squeezes] = net.branches()[branch];
  const BranchImages& images = e.images[branch];
  return {first,
          end,
          e.form.tangents,
          &e.layers,
          {images.value, net.layers()[first].in(), images.tangents}};
}

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
  const CudaOptions& options = net.stream().options();
  OctetRows rows;  // what the layer below has left
  for (std::size_t l = pass.first; l < pass.end; ++l) {
    const Layer& layer = net.layers()[l];
    const LayerTape& tape = (*pass.tapes)[l];
    ForwardArguments s;
    s.layer = layer;
    s.groups = point.groups.pixels_of(layer.pixels());
    s.batch = point.batch * layer.pixels();
    s.tangents = pass.tangents;
    s.input = input_of(net, pass, l);
    s.taps = net.taps_of(layer);
    s.planes = net.planes_of(layer);
    if (l == 0 && !net.convolutional()) s.point = point.z;
    s.weight = net.weights_of(e, layer, false);
    s.weight_stride = net.weight_stride();
    s.times = pixel_times(e.times, layer);
    s.beta = net.beta_of(layer);
    s.slot = point.slot;
    s.value = tape.value;
    s.tangent = tape.tangent;
    if (use == TapeUse::Keep) {
      s.z = tape.z;
      s.u = tape.u;
    }
    if (e.form.closed && l + 1 < net.layers().size()) s.closed = tape.closed;
    const OctetWay way =
        take_octets(s.groups, s.batch) ? octet_way(layer, options) : OctetWay::None;
    if (way == OctetWay::None) {
      run_layer(s, net.stream());
      rows = {};
      continue;
    }
    const RowLines lines = lines_of(layer, point.batch);
    OctetForward forward;
    if (way == OctetWay::FewChannels)
      forward.few = {s.input.value,
                     s.input.tangents,
                     s.batch * std::size_t(layer.in()),
                     layer.in(),
                     layer.out(),
                     lines,
                     s.weight,
                     false};
    else
      forward.factors = factors_of(
          layer, rows.slabs ? rows : split_input(e, s, lines, net.stream()), net.octets_of(layer));
    const bool hands_on = l + 1 < pass.end && net.octets_of(net.layers()[l + 1]).slabs;
    rows = hands_on ? octets_beside(e, forward.factors.rows, 1 + s.tangents, layer.out(), lines)
                    : OctetRows();
    if (hands_on && use == TapeUse::Pass) s.value = s.tangent = nullptr;
    forward.layer = s;
    forward.above = rows;
    forward.slices = e.octets->slices;
    run_octet_layer(forward, net.stream());
  }
}

int gate_stride(const Evaluation& evaluation, const FieldPoint& point) {
  return point.groups.rows / evaluation.times.rows * evaluation.times.units;
}

FieldArguments field_of(const DeviceNet& net, const Evaluation& evaluation,
                        const FieldPoint& point) {
  const EvaluationForm& form = evaluation.form;
  const LayerTape& output = net.convolutional() ? evaluation.joined : evaluation.layers.back();
  FieldArguments s;
  s.groups = point.groups;
  s.batch = point.batch;
  s.dimension = net.dimension();
  s.tangents = form.encoder > 0 || form.lattices ? 0 : form.tangents;
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

}  // namespace ffjord::cuda
