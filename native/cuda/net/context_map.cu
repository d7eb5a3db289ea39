#include "cuda/device/grid.h"
#include "cuda/net/context_map.h"
#include "cuda/net/weight_gradient.h"

namespace ffjord::cuda {
namespace {

// One thread for each entry of a part (rows, C): into M and Mᵀ, of which it is the rows from
// `first` on.
__global__ void pack_context(const float* part, int rows, int first, int terms, int size,
                             float* matrix) {
  const std::size_t entry = flat_index(), count = std::size_t(rows) * size;
  if (entry >= count) return;
  const std::size_t term = first + entry / size, k = entry % size;
  matrix[term * size + k] = part[entry];
  matrix[std::size_t(terms) * size + k * terms + term] = part[entry];
}

// One thread for each entry of a part (rows, C): its share of the slices of M̄ (P, C), in order.
__global__ void add_context_gradient(const float* slices, int slice_count, int rows, int first,
                                     int terms, int size, float* gradient) {
  const std::size_t entry = flat_index(), count = std::size_t(rows) * size;
  if (entry >= count) return;
  float sum = 0.f;
  for (int slice = 0; slice < slice_count; ++slice)
    sum += slices[(std::size_t(slice) * terms + first) * size + entry];
  gradient[entry] += sum;
}

}  // namespace

ContextMap::ContextMap(const std::vector<Layer>& layers, int size, const Stream& stream)
    : size_(size) {
  const auto add = [&](int first, std::size_t offset, int rows) {
    if (first == kNoTerm) return;
    parts_.push_back({offset, first, rows});
    terms_ = first + rows;
  };
  for (const Layer& layer : layers) {
    add(layer.bias_term, layer.offsets.context, layer.out());
    add(layer.gate_term, layer.offsets.context_gate, layer.out());
  }
  matrix_ = DeviceArray<float>(std::size_t(2) * terms_ * size_, stream);
}

void ContextMap::set_parameters(const float* parameters, const Stream& stream) {
  for (const Part& part : parts_)
    launch("pack_context", pack_context, flat_shape(std::size_t(part.rows) * size_), stream,
           parameters + part.offset, part.rows, part.first, terms_, size_, matrix_.data());
}

void ContextMap::enter(const ContextRows& rows, float* terms, const Stream& stream) const {
  MultiplyArguments m;
  m.groups = rows.groups;
  m.batch = rows.batch;
  m.depth = size_;
  m.units = terms_;
  m.a = rows.context;
  m.b = transposed();
  m.c = terms;
  m.c_stride = terms_;
  multiply(m, stream);
}

void ContextMap::pull(const ContextRows& rows, const float* terms_bar, float* gradient,
                      float* context_bar, const Stream& stream) const {
  if (context_bar) {
    MultiplyArguments m;
    m.groups = rows.groups;
    m.batch = rows.batch;
    m.depth = terms_;
    m.units = size_;
    m.a = terms_bar;
    m.b = matrix_.data();
    m.c = context_bar;
    m.c_stride = size_;
    multiply(m, stream);
  }
  if (!gradient) return;
  OuterArguments outer;
  outer.groups = rows.groups;
  outer.batch = rows.batch;
  outer.out = terms_;
  outer.in = size_;
  outer.value_bar = terms_bar;
  outer.input = {rows.context, size_, nullptr};
  cut_slices(outer, false, stream.options());
  DeviceArray<float> slices(std::size_t(outer.slice_count) * terms_ * size_, stream);
  outer.slices = slices.data();
  sum_outer_products(outer, stream);
  for (const Part& part : parts_)
    launch("add_context_gradient", add_context_gradient, flat_shape(std::size_t(part.rows) * size_),
           stream, outer.slices, outer.slice_count, part.rows, part.first, terms_, size_,
           gradient + part.offset);
}

}  // namespace ffjord::cuda
