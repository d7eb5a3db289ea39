#include "cuda/device/grid.h"
#include "cuda/flow/columns.h"

namespace ffjord::cuda {
namespace {

// Some columns of rows that lie side by side in memory, `width` numbers each: those from `first`
// on.
template <class Value>
struct ColumnsOf {
  Value* values;
  std::size_t width, first;

  __device__ Value& at(std::size_t row, std::size_t column) const {
    return values[row * width + first + column];
  }
};

// One thread a number; threads side by side take columns side by side. 8 bytes, 18 registers.
__global__ void copy_some_columns(std::size_t batch, std::size_t count,
                                  ColumnsOf<const float> source, ColumnsOf<float> target) {
  const std::size_t i = flat_index();
  if (i < batch * count) target.at(i / count, i % count) = source.at(i / count, i % count);
}

}  // namespace

void copy_columns(std::size_t batch, std::size_t count, const Columns<const float>& source,
                  const Columns<float>& target, const Stream& stream) {
  if (batch * count == 0) return;
  launch("copy_some_columns", copy_some_columns, flat_shape(batch * count), stream, batch, count,
         ColumnsOf<const float>{source.values.data(), source.width, source.first},
         ColumnsOf<float>{target.values.data(), target.width, target.first});
}

}  // namespace ffjord::cuda
