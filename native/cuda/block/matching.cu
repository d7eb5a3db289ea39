#include <vector>

#include "core/philox.h"
#include "cuda/block/matching.h"
#include "cuda/block/velocity_rows.h"
#include "cuda/device/block_sum.h"

namespace ffjord::cuda {
namespace {

struct PointArguments {
  NoiseKey key;  // of x₁
  std::uint32_t row_offset = 0;
  std::size_t rows = 0, columns = 0;  // B, D
  const float* x0 = nullptr;
  const double* s = nullptr;                  // (B)
  float *points = nullptr, *lines = nullptr;  // x₀ + s (x₁ − x₀), x₁ − x₀

  __host__ __device__ std::size_t quads() const { return (columns + 3) / 4; }
};

// One thread four neighbouring elements of a row: 10 rounds of Philox and two pairs by Box-Muller
// in float64; 16 bytes are read, 32 written.
__global__ void draw_points(PointArguments a) {
  const std::size_t entry = flat_index();
  if (entry >= a.rows * a.quads()) return;
  const std::size_t row = entry / a.quads(), quad = entry % a.quads();
  const auto x1 = draw4(NoiseLaw::Gaussian, a.key, a.row_offset + static_cast<std::uint32_t>(row),
                        static_cast<std::uint32_t>(quad));
  for (std::size_t i = 0; i < 4 && 4 * quad + i < a.columns; ++i) {
    const std::size_t at = row * a.columns + 4 * quad + i;
    const double line = double(x1[i]) - double(a.x0[at]);
    a.points[at] = static_cast<float>(double(a.x0[at]) + a.s[row] * line);
    a.lines[at] = static_cast<float>(line);
  }
}

struct RegressionArguments {
  std::size_t columns = 0;
  double scale = 1, weight = 1;
  const float* lines = nullptr;
  float* f = nullptr;        // becomes its cotangent
  double* losses = nullptr;  // (B)
};

// One block a row, in float64: 7 FLOPs and 12 bytes an element.
__global__ void regress_rows(RegressionArguments a) {
  double loss = 0;
  for (std::size_t i = threadIdx.x; i < a.columns; i += kFlatThreads) {
    const std::size_t at = blockIdx.x * a.columns + i;
    const double miss = a.scale * double(a.f[at]) - double(a.lines[at]);
    loss += miss * miss;
    a.f[at] = static_cast<float>(2 * a.weight * a.scale * miss);
  }
  loss = block_sum(loss);
  if (threadIdx.x == 0) a.losses[blockIdx.x] = loss;
}

}  // namespace

void match_on_device(const MatchingCall& call, const MatchingRows<float>& rows, float* gradient) {
  const MatchingRequest& request = rows.request;
  const Stream& stream = call.stream;
  const std::size_t size = rows.x0.size();
  DeviceArray<float> points(size, stream), lines(size, stream), z_bar(size, stream);
  DeviceArray<double> s(request.batch, stream), losses(request.batch, stream);
  s.copy_in(request.s, stream);
  const Noise& noise = request.noise;
  const PointArguments drawn{{noise.seed, noise.call, kBaseBlock, 0},
                             noise.row_offset,
                             request.batch,
                             size / request.batch,
                             rows.x0.data(),
                             s.data(),
                             points.data(),
                             lines.data()};
  launch("draw_points", draw_points, flat_shape(drawn.rows * drawn.quads()), stream, drawn);

  std::vector<double> times;
  for (const double place : request.s) times.push_back(place * request.end_time);
  const BlockNoise<float> none;
  const VelocityCall velocity{call.net,      call.workspace, stream,     rows.trace,    times,
                              request.batch, none,           call.terms, call.terms_bar};
  VelocityRows at(velocity, std::move(points), false);
  at.evaluate(false, TapeUse::Keep);
  launch("regress_rows", regress_rows, sum_shape<double>(request.batch), stream,
         RegressionArguments{drawn.columns, request.end_time, request.weight, lines.data(),
                             at.f().data(), losses.data()});
  at.pullback(at.f().data(), nullptr, targets_of(velocity, z_bar, gradient));
  losses.copy_out(request.losses, stream);
  stream.synchronize();
}

}  // namespace ffjord::cuda
