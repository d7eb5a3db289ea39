#include "cuda/net/octet_tile.h"

namespace ffjord::cuda {
namespace {

// FLOPs: as the product. Bytes: A once a `Units`, W once a 64 rows, and the part itself.
// hot: no spills
template <class Arithmetic, int Units>
__global__ void __launch_bounds__(kOctetThreads, octet_blocks<Arithmetic, Units>)
    octet_slice(const __grid_constant__ OctetFactors s, const __grid_constant__ OctetTaps taps,
                const __grid_constant__ OctetSlices to, Groups groups) {
  if (!groups.data->working) return;
  auto& memory = shared_memory<OctetMemory<Arithmetic, Units>>();
  const int slice = blockIdx.z % to.count, channel = 2 * (blockIdx.z / to.count);
  const int first = slice * to.slabs;
  const bool both = channel + 1 < to.channels;
  detail::multiply_tile_of<Arithmetic, Units>(s, taps, channel, both, first,
                                              min(to.slabs, s.rows.slab_count() - first), memory);
  __syncthreads();
  const int unit = threadIdx.x % Units, at = blockIdx.y * Units + unit;
  if (at >= to.units) return;
#pragma unroll 1
  for (int r = threadIdx.x / Units; r < kTileRows; r += kOctetThreads / Units) {
    const int line = blockIdx.x * kTileRows + r;
    to.at(slice, channel, line, at) = memory.tile[0][r][unit];
    if (both) to.at(slice, channel + 1, line, at) = memory.tile[1][r][unit];
  }
}

template <class Arithmetic, int Units>
void start(const OctetFactors& s, const OctetSlices& to, const Groups& groups,
           const Stream& stream) {
  launch("octet_slice", octet_slice<Arithmetic, Units>,
         {dim3(to.lines / kTileRows, s.lines.tiles(), to.count * tiles_of(to.channels, 2)),
          dim3(kOctetThreads), sizeof(OctetMemory<Arithmetic, Units>)},
         stream, s, s.tap_units > 0 ? OctetTaps() : s.taps, to, groups);
}

// A thread an entry.
__global__ void add_octet_slices(const __grid_constant__ OctetMultiply s,
                                 const __grid_constant__ OctetSlices from) {
  const int units = s.factors.units(), entry = static_cast<int>(flat_index());
  const int row = entry / units, unit = entry % units;
  if (row >= s.batch || !s.groups.data->working) return;
  const float sum = sum_slices(s.factors, from, 0, s.factors.rows.lines.line(row), unit);
  float& c = s.c[std::size_t(row) * s.c_stride + unit];
  c = s.alpha * (sum * s.factors.down_of(unit)) + (s.adds ? c : 0.f);
}

}  // namespace

void multiply(const OctetMultiply& s, const Stream& stream) {
  OctetSlices slices = slices_of(s.factors.lines, s.factors.rows.lines, 1);
  slices.data = s.slices;
  multiply_slices(s.factors, slices, s.groups, stream);
  launch("add_octet_slices", add_octet_slices, flat_shape(std::size_t(s.batch) * s.factors.units()),
         stream, s, slices);
}

void multiply_slices(const OctetFactors& factors, const OctetSlices& slices, const Groups& groups,
                     const Stream& stream) {
  with_octet_arithmetic(stream, [&](auto arithmetic) {
    using Arithmetic = decltype(arithmetic);
    factors.lines.tile() == 128 ? start<Arithmetic, 128>(factors, slices, groups, stream)
                                : start<Arithmetic, 64>(factors, slices, groups, stream);
  });
}

}  // namespace ffjord::cuda
