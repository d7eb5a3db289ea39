// The closed trace of a DenseNet beside its passes.
#include "cuda/net/closed_trace.h"
#include "cuda/net/dense_net.h"
#include "cuda/net/multiply.h"

namespace ffjord::cuda {

// d₂ᵀ (M d₁), or cᵀ d₁.
void DenseNet::close_trace(Evaluation& e, const FieldPoint& point, TapeUse use,
                           FieldArguments& field) const {
  if (gated_output())
    set_closed(arrays(), layers_, e.times.gate + layers_.back().unit, gate_stride(e, point),
               point.groups.count, e.closed, stream_);
  const ClosedArrays& closed = closed_of(e);
  const Layer& first = layers_.front();
  if (layers_.size() == 2) {
    field.closed_width = first.out;
    field.closed_left = closed.c;
    field.closed_left_rows = gated_output() ? point.groups.rows : point.batch;
    field.closed_right = e.layers[0].closed;
    return;
  }
  field.closed_width = layers_[1].out;
  field.closed_left = e.layers[1].closed;
  field.closed_left_on_tape = true;
  field.closed_right = e.closed_product;
  if (use == TapeUse::Stands) return;
  MultiplyArguments m;
  m.groups = point.groups;
  m.batch = point.batch;
  m.depth = first.out;
  m.units = layers_[1].out;
  m.slot = point.slot;
  m.a = e.layers[0].closed;
  m.b = closed.m_transposed;
  m.b_stride = gated_output() ? std::size_t(m.depth) * m.units : 0;
  m.c = e.closed_product;
  m.c_stride = m.units;
  multiply(m, stream_);
}

void DenseNet::pull_closed_trace(Reverse& reverse, const FieldColumns<const float>& bars) const {
  const Evaluation& e = reverse.evaluation;
  PullbackScratch& scratch = reverse.scratch;
  const FieldPoint& point = reverse.point;
  const FieldTargets& targets = reverse.targets;
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
  if (!targets.gradient && !(targets.times && gated)) return;
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
  s.time_bars = gated ? reverse.time_bars : nullptr;
  s.gradient = targets.gradient;
  pull_closed(s, layers_, stream_);
  if (s.time_bars) reverse.passed_times(1);
}

}  // namespace ffjord::cuda
