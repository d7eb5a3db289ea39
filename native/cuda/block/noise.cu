#include <cmath>

#include "cuda/block/noise.h"
#include "cuda/device/grid.h"

namespace ffjord::cuda {
namespace {

struct NoiseArguments {
  NoiseLaw law = NoiseLaw::Gaussian;
  NoiseKey key;
  std::uint32_t row_offset = 0;
  const RowKey* keys = nullptr;       ///< of the rows, or null
  std::size_t rows = 0, columns = 0;  ///< K B, with B of a probe
  std::size_t batch = 0;
  float* values = nullptr;
  ProbeLattice lattice;  ///< that the draw is cut to, where it has channels
  float scale = 1;       ///< √count of it

  __host__ __device__ std::size_t quads() const { return (columns + 3) / 4; }
};

// One thread four neighbouring elements of a row: 10 rounds of Philox and, of normals, two pairs by
// Box-Muller in float64; 16 bytes are written.
__global__ void draw_noise(NoiseArguments s) {
  const std::size_t entry = flat_index();
  if (entry >= s.rows * s.quads()) return;
  const std::size_t row = entry / s.quads(), quad = entry % s.quads();
  NoiseKey key = s.key;
  key.probe += static_cast<std::uint32_t>(row / s.batch);
  std::uint32_t number = s.row_offset + static_cast<std::uint32_t>(row % s.batch);
  if (s.keys) {
    number = s.keys[row % s.batch].row;
    key.call = s.keys[row % s.batch].call;
  }
  const auto four = draw4(s.law, key, number, static_cast<std::uint32_t>(quad));
  const std::size_t set = row / s.batch;
  for (std::size_t i = 0; i < 4 && 4 * quad + i < s.columns; ++i) {
    const std::size_t element = 4 * quad + i;
    const bool kept = s.lattice.channels == 0 || s.lattice.holds(set % s.lattice.count(), element);
    s.values[row * s.columns + element] = kept ? s.scale * four[i] : 0.f;
  }
}

}  // namespace

DeviceArray<float> make_noise(const BlockNoise<float>& noise, const Stream& stream) {
  DeviceArray<float> eps(noise.size(), stream);
  if (!noise.given.empty()) {
    eps.copy_in(noise.given, stream);
  } else if (!eps.empty()) {
    DeviceArray<RowKey> keys(noise.keys.size(), stream);
    keys.copy_in(noise.keys, stream);
    const NoiseArguments s{
        noise.law,
        noise.key,
        noise.row_offset,
        keys.data(),
        noise.probes * noise.batch,
        noise.columns,
        noise.batch,
        eps.data(),
        noise.lattice,
        noise.lattice.channels > 0 ? float(std::sqrt(double(noise.lattice.count()))) : 1.f};
    launch("draw_noise", draw_noise, flat_shape(s.rows * s.quads()), stream, s);
  }
  return eps;
}

}  // namespace ffjord::cuda
