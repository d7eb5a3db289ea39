// ε of a block and call as a description, so that it is drawn where the rows of the block live.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/lattice_probes.h"
#include "core/philox.h"
#include "core/row_keys.h"

namespace ffjord {

template <class Real>
struct BlockNoise {
  int probes = 0;                      ///< K; 0: the trace is exact, and there is no ε
  std::size_t batch = 0, columns = 0;  ///< B; D, or the width of a bottleneck
  NoiseLaw law = NoiseLaw::Gaussian;
  NoiseKey key;                  ///< of the first probe; the others count on from it
  std::uint32_t row_offset = 0;  ///< number of the first row
  std::vector<RowKey> keys;      ///< of the rows (B), in place of their numbers and the call
  std::vector<Real> given;       ///< (K, B, columns) in place of a draw, or empty
  ProbeLattice lattice = {
      .channels = 0, .plane = {}, .spacing = {}};  ///< that a draw is cut to (TracePlan)

  std::size_t size() const { return probes * batch * columns; }

  /// (K, B, columns), on the host.
  std::vector<Real> values() const {
    if (!given.empty()) return given;
    std::vector<Real> drawn(size());
    NoiseKey at = key;
    for (int probe = 0; probe < probes; ++probe, ++at.probe) {
      const auto all = std::span<Real>(drawn).subspan(probe * batch * columns, batch * columns);
      if (keys.empty()) fill_noise(law, at, row_offset, columns, all);
      for (std::size_t row = 0; row < keys.size(); ++row) {
        at.call = keys[row].call;
        fill_noise(law, at, keys[row].row, columns, all.subspan(row * columns, columns));
      }
      if (lattice.channels > 0) cut(probe % lattice.count(), all);
    }
    return drawn;
  }

 private:
  void cut(std::size_t k, std::span<Real> rows) const {
    const Real scale = static_cast<Real>(std::sqrt(double(lattice.count())));
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i] = lattice.holds(k, i % columns) ? scale * rows[i] : Real(0);
  }
};

}  // namespace ffjord
