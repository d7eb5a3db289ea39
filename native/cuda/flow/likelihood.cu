#include "core/regularisers.h"
#include "cuda/device/block_sum.h"
#include "cuda/flow/likelihood.h"

namespace ffjord::cuda {
namespace {

// Rows that one block sums, one a thread: fixed, so that the order of the sum depends on their
// number alone.
constexpr std::size_t kPartRows = kFlatThreads;

std::size_t parts_of(std::size_t rows) { return (rows + kPartRows - 1) / kPartRows; }

struct RowsAtBase {
  std::size_t batch = 0, dimension = 0, channels = 0;  ///< B, D, R
  const float *z = nullptr, *delta_logp = nullptr, *regularisers = nullptr;
};

// Σ over the rows of a part of ½‖z‖² + Δlogp (column 0) and of a regulariser: one block a part and
// column. Bytes: 4 (D + 1 + R) a row.
__global__ void sum_likelihood(RowsAtBase s, double* parts) {
  const std::size_t column = blockIdx.y, columns = s.channels + 1;
  double sum = 0;
  const std::size_t row = blockIdx.x * kPartRows + threadIdx.x;
  if (row < s.batch && column > 0) {
    sum = s.regularisers[row * s.channels + column - 1];
  } else if (row < s.batch) {
    double square = 0;
    for (std::size_t i = 0; i < s.dimension; ++i) {
      const double z = s.z[row * s.dimension + i];
      square += z * z;
    }
    sum = 0.5 * square + s.delta_logp[row];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.x * columns + column] = sum;
}

// One block a column.
__global__ void join_likelihood(const double* parts, std::size_t count, double share,
                                double* means) {
  double sum = 0;
  for (std::size_t part = threadIdx.x; part < count; part += kFlatThreads)
    sum += parts[part * gridDim.x + blockIdx.x];
  sum = block_sum(sum);
  if (threadIdx.x == 0) means[blockIdx.x] = share * sum;
}

struct Weights {
  float values[kRegularisers];
};

// One thread for each entry of [z̄ | Δlogp̄ | r̄]: at most 8 bytes.
__global__ void write_bars(RowsAtBase s, double share, Weights weights, float* z_bar,
                           float* delta_logp_bar, float* regularisers_bar) {
  std::size_t i = flat_index();
  const std::size_t size = s.batch * s.dimension;
  if (i < size) {
    z_bar[i] = static_cast<float>(share * s.z[i]);
    return;
  }
  i -= size;
  if (i < s.batch) {
    delta_logp_bar[i] = static_cast<float>(share);
    return;
  }
  i -= s.batch;
  if (i < s.batch * s.channels) regularisers_bar[i] = weights.values[i % s.channels];
}

RowsAtBase at_base(std::size_t batch, std::span<const float> z, std::span<const float> delta_logp,
                   std::span<const float> regularisers) {
  return {batch,    z.size() / batch,  regularisers.size() / batch,
          z.data(), delta_logp.data(), regularisers.data()};
}

}  // namespace

PendingMeans DeviceLikelihood::means(const BaseRows<const float>& rows) {
  stream_.enter();
  const RowsAtBase s = at_base(rows.count(), rows.z, rows.delta_logp, rows.regularisers);
  const std::size_t parts = parts_of(s.batch), columns = 1 + s.channels;
  if (parts_.size() < parts * columns) parts_ = DeviceArray<double>(parts * columns, stream_);
  if (on_host_.size() != columns) {
    means_ = DeviceArray<double>(columns, stream_);
    on_host_ = PinnedArray<double>(columns);
  }
  LaunchShape shape = sum_shape<double>(parts);
  shape.grid.y = static_cast<unsigned>(columns);
  launch("sum_likelihood", sum_likelihood, shape, stream_, s, parts_.data());
  launch("join_likelihood", join_likelihood, sum_shape<double>(columns), stream_, parts_.data(),
         parts, 1 / double(rows.whole()), means_.data());
  means_.copy_out(on_host_.span(), stream_);
  stream_.record(copied_);
  // −log N(z; 0, I) = ½‖z‖² + ½ D log 2π
  const double constant =
      0.5 * s.dimension * std::log(2 * std::numbers::pi) * (double(s.batch) / double(rows.whole()));
  return {false, [this, constant] {
            copied_.synchronize();
            const std::span<const double> found = on_host_.span();
            return LikelihoodMeans{found[0] + constant, {found.begin() + 1, found.end()}};
          }};
}

void write_likelihood_bars(const LikelihoodBar& bar, std::span<const float> z,
                           const BaseRows<float>& bars, const Stream& stream) {
  const RowsAtBase s = at_base(bars.count(), z, bars.delta_logp, bars.regularisers);
  Weights weights = {};
  for (std::size_t r = 0; r < bar.weights.size(); ++r)
    weights.values[r] = static_cast<float>(bar.weights[r] * bar.share);
  launch("write_bars", write_bars, flat_shape(s.batch * (s.dimension + 1 + s.channels)), stream, s,
         bar.share, weights, bars.z.data(), bars.delta_logp.data(), bars.regularisers.data());
}

}  // namespace ffjord::cuda
