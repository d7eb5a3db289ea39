#include "cuda/block/row_states.h"
#include "cuda/device/grid.h"

namespace ffjord::cuda {
namespace {

// Calls move(value of the rows, value of the state, sign) for the present thread's entry of (B, S).
template <class State, class Move>
__device__ void at_entry(const RowArrays& s, State* states, const Move& move) {
  const std::size_t entry = flat_index();
  const int row = static_cast<int>(entry / s.channels),
            channel = static_cast<int>(entry % s.channels);
  if (row >= s.batch) return;
  if (channel < s.dimension)
    move(s.z[std::size_t(row) * s.dimension + channel], states[entry], 1.f);
  else if (channel == s.dimension)
    move(s.delta_logp[row], states[entry], -1.f);
  else if (s.regularisers)
    move(s.regularisers[std::size_t(row) * (s.channels - s.dimension - 1) + channel - s.dimension -
                        1],
         states[entry], 1.f);
}

// One thread for each entry: 8 bytes.
__global__ void pack_rows(RowArrays s, float* states) {
  at_entry(s, states, [](float& value, float& state, float sign) { state = sign * value; });
}
__global__ void unpack_rows(RowArrays s, const float* states) {
  at_entry(s, states, [](float& value, const float& state, float sign) { value = sign * state; });
}

}  // namespace

void pack_states(const RowArrays& rows, float* states, const Stream& stream) {
  launch("pack_rows", pack_rows, flat_shape(std::size_t(rows.batch) * rows.channels), stream, rows,
         states);
}

void unpack_states(const RowArrays& rows, const float* states, const Stream& stream) {
  launch("unpack_rows", unpack_rows, flat_shape(std::size_t(rows.batch) * rows.channels), stream,
         rows, states);
}

}  // namespace ffjord::cuda
