// The rows of a block as the states that a solve steps: [z | −Δlogp | r], (B, S), and back.
#pragma once

#include "cuda/block/workspace.h"

namespace ffjord::cuda {

/// Rows on the device; regularisers may be null where they are not wanted.
struct RowArrays {
  int batch = 0, dimension = 0, channels = 0;  ///< B, D, S
  float *z = nullptr, *delta_logp = nullptr, *regularisers = nullptr;
};
inline RowArrays row_arrays(const BlockCall& call, const BlockRows<float>& rows) {
  return {static_cast<int>(rows.count), call.dimension(),        call.channels(), rows.z.data(),
          rows.delta_logp.data(),       rows.regularisers.data()};
}

void pack_states(const RowArrays& rows, float* states, const Stream& stream);
void unpack_states(const RowArrays& rows, const float* states, const Stream& stream);

/// A matrix within the device: `target` (rows, columns) ← `source`, strides in floats.
inline void copy_columns(float* target, std::size_t target_stride, const float* source,
                         std::size_t source_stride, std::size_t columns, std::size_t rows,
                         const Stream& stream) {
  if (columns > 0)
    check(cudaMemcpy2DAsync(target, target_stride * sizeof(float), source,
                            source_stride * sizeof(float), columns * sizeof(float), rows,
                            cudaMemcpyDeviceToDevice, stream.get()),
          "copy of rows");
}

}  // namespace ffjord::cuda
