#include <optional>
#include <variant>
#include <vector>

#include "core/whiten.h"
#include "cuda/device/grid.h"
#include "cuda/device/memory.h"
#include "cuda/flow/whiten_block.h"

namespace ffjord::cuda {
namespace {

// out = M (in − before) + after of every row, M (D, D) triangular, in float64. M is stored column
// by column, so that neighbouring threads, which have neighbouring rows of M, read side by side.
struct TriangularMap {
  const double* columns;         // M[i, j] at j D + i
  bool upper;                    // j from i on, else up to i
  const double *before, *after;  // (D), or null
  double log_det;                // added to Δlogp
};

// One thread an element of a row: D FMAs of float64 on average, and as many reads of M, which the
// rows of a batch find in the cache; 8 bytes of rows; 40 registers.
__global__ void multiply_triangular(TriangularMap map, std::size_t batch, std::size_t dimension,
                                    const float* in, float* out, float* delta_logp) {
  const std::size_t at = flat_index();
  if (at >= batch * dimension) return;
  const std::size_t row = at / dimension, i = at % dimension;
  const float* values = in + row * dimension;
  double sum = 0;
  for (std::size_t j = map.upper ? i : 0; j < (map.upper ? dimension : i + 1); ++j)
    sum += map.columns[j * dimension + i] * (values[j] - (map.before ? map.before[j] : 0));
  out[at] = static_cast<float>(sum + (map.after ? map.after[i] : 0));
  if (i == 0 && map.log_det != 0) delta_logp[row] += static_cast<float>(map.log_det);
}

// W and Wᵀ as columns; W[i, j] stands at i D + j.
struct Matrices {
  DeviceArray<double> plain, transposed;

  Matrices(const std::vector<double>& matrix, std::size_t size, const Stream& stream)
      : plain(matrix.size(), stream), transposed(matrix.size(), stream) {
    std::vector<double> columns(matrix.size());
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < size; ++j) columns[j * size + i] = matrix[i * size + j];
    plain.copy_in(columns, stream);
    transposed.copy_in(matrix, stream);
  }
};

// W⁻¹ of a lower triangular W.
std::vector<double> inverse_of(const std::vector<double>& matrix, std::size_t size) {
  std::vector<double> inverse(matrix.size());
  for (std::size_t i = 0; i < size; ++i) {
    double* row = &inverse[i * size];
    row[i] = 1;
    for (std::size_t k = 0; k < i; ++k)
      for (std::size_t j = 0; j <= k; ++j) row[j] -= matrix[i * size + k] * inverse[k * size + j];
    for (std::size_t j = 0; j <= i; ++j) row[j] /= matrix[i * size + i];
  }
  return inverse;
}

class WhitenBlock : public FlowBlock<float> {
 public:
  WhitenBlock(const BlockPlace<float>& place, const FlowStream& stream)
      : whiten_(std::get<Whiten>(place.block)),
        log_det_(log_determinant(whiten_)),
        stream_(stream),
        mean_(place.size(), stream),
        map_(whiten_.matrix, place.size(), stream) {
    mean_.copy_in(whiten_.mean, stream);
  }

  std::unique_ptr<BlockTape> solve(const ChainSolve<float>& call,
                                   ChainState<float>& state) override {
    stream_.enter();
    auto tape = std::make_unique<BlockTape>();
    tape->reverse = call.reverse();
    if (tape->reverse)
      multiply({inverse().plain.data(), false, nullptr, mean_.data(), log_det_}, state);
    else
      multiply({map_.plain.data(), false, mean_.data(), nullptr, -log_det_}, state);
    return tape;
  }

  void pullback(const BlockTape& tape, const ChainPullback<float>&,
                ChainState<float>& bar) override {
    stream_.enter();
    const Matrices& map = tape.reverse ? inverse() : map_;
    multiply({map.transposed.data(), true, nullptr, nullptr, 0}, bar);
  }

 private:
  // Substitution would take D steps one after the other.
  const Matrices& inverse() {
    const std::size_t size = whiten_.mean.size();
    if (!inverse_) inverse_.emplace(inverse_of(whiten_.matrix, size), size, stream_);
    return *inverse_;
  }

  void multiply(const TriangularMap& map, ChainState<float>& state) const {
    const TransformRows<float> rows = state.rows();
    const auto in = DeviceArray<float>::copy_of(rows.values, stream_);
    launch("multiply_triangular", multiply_triangular, flat_shape(rows.values.size()), stream_, map,
           rows.batch, rows.size, in.data(), rows.values.data(), rows.delta_logp.data());
  }

  const Whiten& whiten_;
  const double log_det_;
  const FlowStream& stream_;
  DeviceArray<double> mean_;
  const Matrices map_;
  std::optional<Matrices> inverse_;  // from the first reverse solve on
};

}  // namespace

std::unique_ptr<FlowBlock<float>> make_whiten_block(const BlockPlace<float>& place,
                                                    const FlowStream& stream) {
  return std::make_unique<WhitenBlock>(place, stream);
}

}  // namespace ffjord::cuda
