#include <vector>

#include "core/fixed_block.h"
#include "cuda/device/grid.h"
#include "cuda/device/memory.h"
#include "cuda/flow/element_block.h"
#include "cuda/flow/element_rows.h"

namespace ffjord::cuda {
namespace {

// Δlogp += Σ log φ'. As map_elements.
template <class Element, int Lanes>
__global__ void invert_elements(ElementRows<Element> s) {
  const RowLane<Lanes> at;
  double log_slope = 0;
  for (int i = at.lane; at.row < s.batch && i < s.dimension; i += Lanes) {
    float& value = s.values[std::size_t(at.row) * s.dimension + i];
    const Inverse<float> inverse = invert_element(s.elements[i], value);
    value = inverse.x;
    log_slope += inverse.log_slope;
  }
  log_slope = at.sum(log_slope);
  if (at.row < s.batch && at.lane == 0) s.delta_logp[at.row] += static_cast<float>(log_slope);
}

// One thread an element, of which x is the data side: about 30 FLOPs and 16 bytes.
template <class Element>
__global__ void pull_elements(ElementRows<Element> s, const float* x, bool inverted) {
  const std::size_t at = flat_index();
  if (at >= std::size_t(s.batch) * s.dimension) return;
  s.values[at] = pull_element(s.elements[at % s.dimension], inverted, x[at], s.values[at],
                              s.delta_logp[at / s.dimension]);
}

// The first element of a row that lies outside, and its value; D and no value where there is none.
struct OutsideRows {
  int* elements = nullptr;
  float* values = nullptr;
  int* count = nullptr;  // of rows with such an element
};

// 4 bytes an element and a row. The count is a sum of whole numbers, which has no order.
template <class Element, int Lanes>
__global__ void find_outside_rows(ElementRows<Element> s, OutsideRows outside) {
  const RowLane<Lanes> at;
  const float* row = s.values + std::size_t(at.row) * s.dimension;
  int first = s.dimension;
  for (int i = at.lane; at.row < s.batch && i < s.dimension && first == s.dimension; i += Lanes)
    if (!is_inside(s.elements[i], row[i])) first = i;
  for (int distance = Lanes / 2; distance > 0; distance /= 2)
    first = std::min(first, __shfl_xor_sync(0xffffffffu, first, distance));
  if (at.row >= s.batch || at.lane > 0) return;
  outside.elements[at.row] = first;
  if (first == s.dimension) return;
  outside.values[at.row] = row[first];
  atomicAdd(outside.count, 1);
}

// Puts those rows where the block maps them to 0. One thread an element: 4 bytes read.
template <class Element>
__global__ void move_rows_inside(ElementRows<Element> s, const int* outside_elements) {
  const std::size_t at = flat_index();
  if (at >= std::size_t(s.batch) * s.dimension) return;
  if (outside_elements[at / s.dimension] < s.dimension)
    s.values[at] = invert_element(s.elements[at % s.dimension], 0.f).x;
}

struct ElementTape : BlockTape {
  DeviceArray<float> x;  // the data side (B, D)
};

template <class Transform>
class ElementBlock : public FlowBlock<float> {
  using Element = decltype(element_of(std::declval<Transform>(), 0));

 public:
  ElementBlock(const BlockPlace<float>& place, const Transform& transform, const FlowStream& stream)
      : place_(place), stream_(stream), elements_(place.size(), stream) {
    std::vector<Element> elements;
    for (std::size_t i = 0; i < place.size(); ++i) elements.push_back(element_of(transform, i));
    elements_.copy_in(elements, stream);
  }

  std::unique_ptr<BlockTape> solve(const ChainSolve<float>& call,
                                   ChainState<float>& state) override {
    stream_.enter();
    const TransformRows<float> rows = state.rows();
    const ElementRows<Element> s = rows_of(rows);
    auto tape = std::make_unique<ElementTape>();
    tape->reverse = call.reverse();
    if (!tape->reverse && is_bounded(place_.block)) settle(call, s);
    const auto keep = [&] {
      if (call.request.keep_tape) tape->x = DeviceArray<float>::copy_of(rows.values, stream_);
    };
    if (!tape->reverse) {
      keep();
      map_element_rows(s, stream_);
      return tape;
    }
    with_lanes(s.dimension, [&](auto lanes) {
      launch("invert_elements", invert_elements<Element, lanes()>, row_shape(s.batch, lanes()),
             stream_, s);
    });
    keep();
    return tape;
  }

  void pullback(const BlockTape& any_tape, const ChainPullback<float>&,
                ChainState<float>& bar) override {
    stream_.enter();
    const auto& tape = dynamic_cast<const ElementTape&>(any_tape);
    const TransformRows<float> rows = bar.rows();
    launch("pull_elements", pull_elements<Element>, flat_shape(rows.values.size()), stream_,
           rows_of(rows), tape.x.data(), tape.reverse);
  }

 private:
  ElementRows<Element> rows_of(const TransformRows<float>& rows) const {
    return {static_cast<int>(rows.batch), static_cast<int>(rows.size), elements_.data(),
            rows.values.data(), rows.delta_logp.data()};
  }

  // Only their number crosses where there are none.
  void settle(const ChainSolve<float>& call, const ElementRows<Element>& s) const {
    DeviceArray<int> elements(s.batch, stream_), count(1, stream_);
    DeviceArray<float> values(s.batch, stream_);
    count.fill(0, stream_);
    with_lanes(s.dimension, [&](auto lanes) {
      launch("find_outside_rows", find_outside_rows<Element, lanes()>, row_shape(s.batch, lanes()),
             stream_, s, OutsideRows{elements.data(), values.data(), count.data()});
    });
    if (on_host(count)[0] == 0) return;
    const std::vector<int> first = on_host(elements);
    const std::vector<float> value = on_host(values);
    std::vector<OutsideElement> found;
    for (std::size_t row = 0; row < first.size(); ++row)
      if (first[row] < s.dimension)
        found.push_back({row, std::size_t(first[row]), double(value[row])});
    settle_outside(place_, call, found);
    launch("move_rows_inside", move_rows_inside<Element>,
           flat_shape(std::size_t(s.batch) * s.dimension), stream_, s, elements.data());
  }

  template <class T>
  std::vector<T> on_host(const DeviceArray<T>& array) const {
    std::vector<T> copy(array.size());
    array.copy_out(copy, stream_);
    stream_.synchronize();
    return copy;
  }

  const BlockPlace<float> place_;
  const FlowStream& stream_;
  DeviceArray<Element> elements_;  // (D)
};

}  // namespace

std::unique_ptr<FlowBlock<float>> make_element_block(const BlockPlace<float>& place,
                                                     const FlowStream& stream) {
  std::unique_ptr<FlowBlock<float>> block;
  with_element_map(place.block, [&]<class Transform>(const Transform& transform) {
    block = std::make_unique<ElementBlock<Transform>>(place, transform, stream);
  });
  return block;
}

}  // namespace ffjord::cuda
