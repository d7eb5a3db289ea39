#include <cmath>
#include <limits>

#include "cuda/block/noise.h"
#include "cuda/device/block_sum.h"
#include "cuda/device/memory.h"
#include "cuda/flow/vae_terms.h"
#include "cuda/net/activations.h"

namespace ffjord::cuda {
namespace {

struct Bounds {
  float least, most;
};

__device__ float softplus_of(float x) { return activate(Activation::Softplus, x, 1.f).a; }
// A NaN passes.
__device__ float variance_of(const Bounds& bounds, float raw) {
  const float free = softplus_of(raw);
  return free < bounds.least ? bounds.least : free > bounds.most ? bounds.most : free;
}
__device__ float variance_slope(const Bounds& bounds, float raw) {
  const float free = softplus_of(raw);
  return free <= bounds.least || free >= bounds.most ? 0.f : sigmoid(raw);
}

// LatentRows as a kernel takes it.
struct Latents {
  int copies = 1, latent = 0;
  Bounds bounds;
  const float *mean = nullptr, *raw = nullptr;
  float *eps = nullptr, *z0 = nullptr;
  std::size_t size = 0;  ///< B L

  explicit Latents(const LatentRows<float>& rows)
      : copies(int(rows.copies)),
        latent(int(rows.latent)),
        bounds{float(rows.bounds.least), float(rows.bounds.most)},
        mean(rows.mean.data()),
        raw(rows.raw.data()),
        eps(rows.eps.data()),
        z0(rows.z0.data()),
        size(rows.z0.size()) {}

  /// Where the image of an element has its numbers.
  __device__ std::size_t shared(std::size_t at) const {
    return at / latent / copies * latent + at % latent;
  }
};

// In the kernels of latent numbers a thread has an element, of 12 to 28 bytes.
__global__ void draw_latents(Latents s, const float* noise) {
  const std::size_t at = flat_index();
  if (at >= s.size) return;
  s.eps[at] = noise[at];
  const std::size_t image = s.shared(at);
  s.z0[at] = fmaf(sqrtf(variance_of(s.bounds, s.raw[image])), noise[at], s.mean[image]);
}

// A block a row, whose sum is of float64.
__global__ void sum_divergence(Latents s, const float* zk, const float* log_det, float* kl) {
  double sum = 0;
  for (int i = threadIdx.x; i < s.latent; i += kFlatThreads) {
    const std::size_t at = std::size_t(blockIdx.x) * s.latent + i;
    const double z = zk[at], eps = s.eps[at];
    sum += 0.5 * (z * z - eps * eps - log(double(variance_of(s.bounds, s.raw[s.shared(at)]))));
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) kl[blockIdx.x] = static_cast<float>(sum - log_det[blockIdx.x]);
}

__global__ void add_divergence_bars(std::size_t size, int latent, float scale, const float* zk,
                                    float* zk_bar, float* log_det_bar) {
  const std::size_t at = flat_index();
  if (at >= size) return;
  zk_bar[at] = fmaf(scale, zk[at], zk_bar[at]);
  if (at % latent == 0) log_det_bar[at / latent] = -scale;
}

__global__ void pull_latents(Latents s, float scale, const float* z0_bar, float* mean_bar,
                             float* raw_bar) {
  const std::size_t at = flat_index();
  if (at >= s.size) return;
  const float variance = variance_of(s.bounds, s.raw[at]), bar = z0_bar[at];
  mean_bar[at] = bar;
  raw_bar[at] = 0.5f * (bar * s.eps[at] / sqrtf(variance) - scale / variance) *
                variance_slope(s.bounds, s.raw[at]);
}

__global__ void write_variance(std::size_t size, Bounds bounds, const float* raw, float* variance) {
  const std::size_t at = flat_index();
  if (at < size) variance[at] = variance_of(bounds, raw[at]);
}

// PixelRows as a kernel takes it.
struct Pixels {
  bool classes = false;
  int copies = 1, size = 0;
  float most = 0;  ///< of a logit's magnitude
  const float *x = nullptr, *logits = nullptr;

  explicit Pixels(const PixelRows<float>& rows)
      : classes(rows.likelihood == Likelihood::Categorical),
        copies(int(rows.copies)),
        size(int(rows.size)),
        most(rows.clamp > 0 ? float(std::log1p(-rows.clamp) - std::log(rows.clamp))
                            : std::numeric_limits<float>::infinity()),
        x(rows.x.data()),
        logits(rows.logits.data()) {}

  __device__ float pixel(std::size_t row, int d) const { return x[row / copies * size + d]; }
  /// A NaN passes.
  __device__ float clamped(float logit) const {
    return logit < -most ? -most : logit > most ? most : logit;
  }
  /// Of element d; those of its classes are `size` apart.
  __device__ const float* logit(std::size_t row, int d) const {
    return logits + row * size * (classes ? kClasses : 1) + d;
  }
};

__device__ int class_of_pixel(float x) {
  return static_cast<int>(fminf(fmaxf(x, 0.f), 1.f) * (kClasses - 1) + 0.5f);
}

// The largest logit of an element's classes, and Σ exp of what they are less.
struct ClassSum {
  float most, sum = 0.f;

  __device__ ClassSum(const float* logits, int stride) : most(logits[0]) {
    for (std::size_t k = 1; k < kClasses; ++k) most = fmaxf(most, logits[k * stride]);
    for (std::size_t k = 0; k < kClasses; ++k) sum += expf(logits[k * stride] - most);
  }
  __device__ float probability(float logit) const { return expf(logit - most) / sum; }
};

// A block a row, whose sum is of float64: 8 bytes an element, 2 KiB where it has classes.
__global__ void sum_reconstruction(Pixels s, float* reconstruction) {
  const std::size_t row = blockIdx.x;
  double sum = 0;
  for (int d = threadIdx.x; d < s.size; d += kFlatThreads) {
    const float* const logits = s.logit(row, d);
    const float x = s.pixel(row, d);
    if (s.classes) {
      const ClassSum all(logits, s.size);
      sum += log(double(all.sum)) + all.most - logits[std::size_t(class_of_pixel(x)) * s.size];
    } else {
      const double l = s.clamped(*logits);
      sum += fmax(l, 0.0) - l * x + log1p(exp(-fabs(l)));
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) reconstruction[row] = static_cast<float>(sum);
}

// In the kernels of images a thread has an element and its classes.
__global__ void write_logit_bars(std::size_t count, Pixels s, float share, float* bars) {
  const std::size_t at = flat_index();
  if (at >= count) return;
  const std::size_t row = at / s.size;
  const int d = at % s.size;
  const float* const logits = s.logit(row, d);
  float* const to = bars + (logits - s.logits);
  const float x = s.pixel(row, d);
  if (!s.classes) {
    *to = share * (sigmoid(*logits) - x);
    return;
  }
  const ClassSum all(logits, s.size);
  const std::size_t right = class_of_pixel(x);
  for (std::size_t k = 0; k < kClasses; ++k)
    to[k * s.size] = share * (all.probability(logits[k * s.size]) - (k == right ? 1.f : 0.f));
}

__global__ void write_mean_image(std::size_t count, Pixels s, float* mean) {
  const std::size_t at = flat_index();
  if (at >= count) return;
  const float* const logits = s.logit(at / s.size, at % s.size);
  if (!s.classes) {
    mean[at] = sigmoid(*logits);
    return;
  }
  const ClassSum all(logits, s.size);
  float sum = 0.f;
  for (std::size_t k = 0; k < kClasses; ++k)
    sum = fmaf(float(k) / (kClasses - 1), all.probability(logits[k * s.size]), sum);
  mean[at] = sum;
}

__global__ void draw_pixels(std::size_t count, Pixels s, const float* uniform, float* x) {
  const std::size_t at = flat_index();
  if (at >= count) return;
  const float* const logits = s.logit(at / s.size, at % s.size);
  if (!s.classes) {
    x[at] = uniform[at] < sigmoid(*logits) ? 1.f : 0.f;
    return;
  }
  const ClassSum all(logits, s.size);
  float left = uniform[at];
  std::size_t k = 0;
  for (; k < kClasses - 1; ++k)
    if ((left -= all.probability(logits[k * s.size])) < 0.f) break;
  x[at] = float(k) / (kClasses - 1);
}

__global__ void binarize_pixels(std::size_t count, const float* uniform, float* x) {
  const std::size_t at = flat_index();
  if (at < count) x[at] = uniform[at] < x[at] ? 1.f : 0.f;
}

class DeviceVaeTerms : public VaeTerms<float> {
 public:
  explicit DeviceVaeTerms(const FlowStream& stream) : stream_(stream) {}

  void draw(const BlockNoise<float>& noise, const LatentRows<float>& rows) override {
    stream_.enter();
    const DeviceArray<float> eps = make_noise(noise, stream_);
    const Latents s(rows);
    launch("draw_latents", draw_latents, flat_shape(s.size), stream_, s, eps.data());
  }
  void divergence(const LatentRows<float>& rows, std::span<const float> zk,
                  std::span<const float> log_det, std::span<float> kl) override {
    stream_.enter();
    launch("sum_divergence", sum_divergence, sum_shape<double>(kl.size()), stream_, Latents(rows),
           zk.data(), log_det.data(), kl.data());
  }
  void seed_divergence(const ElboBar& bar, std::span<const float> zk, std::span<float> zk_bar,
                       std::span<float> log_det_bar) override {
    stream_.enter();
    launch("add_divergence_bars", add_divergence_bars, flat_shape(zk.size()), stream_, zk.size(),
           int(zk.size() / log_det_bar.size()), float(bar.share * bar.beta), zk.data(),
           zk_bar.data(), log_det_bar.data());
  }
  void pull_back_draw(const ElboBar& bar, const LatentRows<float>& rows,
                      std::span<const float> z0_bar, std::span<float> mean_bar,
                      std::span<float> raw_bar) override {
    stream_.enter();
    launch("pull_latents", pull_latents, flat_shape(z0_bar.size()), stream_, Latents(rows),
           float(bar.share * bar.beta), z0_bar.data(), mean_bar.data(), raw_bar.data());
  }
  void variance(const VarianceBounds& bounds, std::span<const float> raw,
                std::span<float> variance) override {
    stream_.enter();
    launch("write_variance", write_variance, flat_shape(raw.size()), stream_, raw.size(),
           Bounds{float(bounds.least), float(bounds.most)}, raw.data(), variance.data());
  }

  void reconstruction(const PixelRows<float>& rows, std::span<float> reconstruction) override {
    stream_.enter();
    launch("sum_reconstruction", sum_reconstruction, sum_shape<double>(reconstruction.size()),
           stream_, Pixels(rows), reconstruction.data());
  }
  void seed_reconstruction(double share, const PixelRows<float>& rows,
                           std::span<float> logits_bar) override {
    stream_.enter();
    const std::size_t count = rows.batch() * rows.size;
    launch("write_logit_bars", write_logit_bars, flat_shape(count), stream_, count, Pixels(rows),
           float(share), logits_bar.data());
  }
  void mean_image(const PixelRows<float>& rows, std::span<float> mean) override {
    stream_.enter();
    launch("write_mean_image", write_mean_image, flat_shape(mean.size()), stream_, mean.size(),
           Pixels(rows), mean.data());
  }
  void draw_image(const BlockNoise<float>& noise, const PixelRows<float>& rows,
                  std::span<float> x) override {
    stream_.enter();
    const DeviceArray<float> uniform = make_noise(noise, stream_);
    launch("draw_pixels", draw_pixels, flat_shape(x.size()), stream_, x.size(), Pixels(rows),
           uniform.data(), x.data());
  }
  void binarize(const BlockNoise<float>& noise, std::span<float> x) override {
    stream_.enter();
    const DeviceArray<float> uniform = make_noise(noise, stream_);
    launch("binarize_pixels", binarize_pixels, flat_shape(x.size()), stream_, x.size(),
           uniform.data(), x.data());
  }

 private:
  const FlowStream& stream_;
};

}  // namespace

std::unique_ptr<VaeTerms<float>> make_vae_terms(const FlowStream& stream) {
  return std::make_unique<DeviceVaeTerms>(stream);
}

}  // namespace ffjord::cuda
