// ε of a block and call as a description, so that it is drawn where the rows of the block live.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/philox.h"

namespace ffjord {

template <class Real>
struct BlockNoise {
  int probes = 0;                      ///< K; 0: the trace is exact, and there is no ε
  std::size_t batch = 0, columns = 0;  ///< B; D, or the width of a bottleneck
  NoiseLaw law = NoiseLaw::Gaussian;
  NoiseKey key;                  ///< of the first probe; the others count on from it
  std::uint32_t row_offset = 0;  ///< number of the first row
  std::vector<Real> given;       ///< (K, B, columns) in place of a draw, or empty

  std::size_t size() const { return probes * batch * columns; }

  /// (K, B, columns), on the host.
  std::vector<Real> values() const {
    if (!given.empty()) return given;
    std::vector<Real> drawn(size());
    const std::size_t of_probe = batch * columns;
    NoiseKey at = key;
    for (int probe = 0; probe < probes; ++probe, ++at.probe)
      fill_noise(law, at, row_offset, columns,
                 std::span<Real>(drawn).subspan(probe * of_probe, of_probe));
    return drawn;
  }
};

}  // namespace ffjord
