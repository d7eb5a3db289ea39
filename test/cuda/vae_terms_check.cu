// The terms of an autoencoder's loss on a card against the host's in float64.
#include "core/host_vae_terms.h"
#include "cuda/flow/vae_terms.h"
#include "test/cuda/kernels.h"

namespace {

using namespace checks;
using ffjord::BlockNoise;
using ffjord::ElboBar;
using ffjord::Likelihood;
using ffjord::NoiseLaw;
using ffjord::VarianceBounds;

constexpr std::size_t kLatent = 5, kImages = 3, kPixels = 7;

std::vector<float> uniforms(std::size_t count, std::uint32_t number, float scale, float shift) {
  std::vector<float> values(count);
  ffjord::fill_noise<float>(NoiseLaw::Uniform, {3, number, 0, 0}, 0, count, values);
  for (float& value : values) value = scale * value + shift;
  return values;
}

template <class Real>
BlockNoise<Real> noise_of(NoiseLaw law, std::size_t batch, std::size_t columns) {
  BlockNoise<Real> noise;
  noise.probes = 1;
  noise.batch = batch;
  noise.columns = columns;
  noise.law = law;
  noise.key = {7, 2, 0xFFFC, 0};
  return noise;
}

/// Every call of the terms, on numbers that `Memory` puts where they are computed.
template <class Real, class Memory>
std::vector<Vector> results(ffjord::VaeTerms<Real>& terms, Memory& memory, std::size_t copies,
                            Likelihood likelihood, const VarianceBounds& bounds) {
  const std::size_t batch = kImages * copies, wide = batch * kLatent;
  const std::size_t classes = likelihood == Likelihood::Categorical ? ffjord::kClasses : 1;
  const auto mean = memory.put(uniforms(kImages * kLatent, 0, 4, -2));
  const auto raw = memory.put(uniforms(kImages * kLatent, 1, 6, -3));
  const auto x = memory.put(uniforms(kImages * kPixels, 2, 1, 0));
  const auto logits = memory.put(uniforms(batch * classes * kPixels, 3, 20, -10));
  const auto zk = memory.put(uniforms(wide, 4, 4, -2));
  const auto log_det = memory.put(uniforms(batch, 5, 4, -2));
  const auto eps = memory.zeros(wide), z0 = memory.zeros(wide), kl = memory.zeros(batch);
  const auto zk_bar = memory.put(uniforms(wide, 6, 1, 0)), log_det_bar = memory.zeros(batch);
  const auto mean_bar = memory.zeros(wide), raw_bar = memory.zeros(wide);
  const auto found = memory.zeros(batch), bars = memory.zeros(logits.size());
  const auto variance = memory.zeros(raw.size()), means = memory.zeros(batch * kPixels);
  const auto drawn = memory.zeros(batch * kPixels);
  const auto binary = memory.put(uniforms(kImages * kPixels, 2, 1, 0));

  const ffjord::LatentRows<Real> latents{copies, kLatent, bounds, mean, raw, eps, z0};
  const ffjord::PixelRows<Real> pixels{likelihood, copies, kPixels, 0.01, x, logits};
  const ElboBar bar{0.25, 0.5};
  terms.draw(noise_of<Real>(NoiseLaw::Gaussian, batch, kLatent), latents);
  terms.divergence(latents, zk, log_det, kl);
  terms.seed_divergence(bar, zk, zk_bar, log_det_bar);
  if (copies == 1) terms.pull_back_draw(bar, latents, zk_bar, mean_bar, raw_bar);
  terms.variance(bounds, raw, variance);
  terms.reconstruction(pixels, found);
  terms.seed_reconstruction(0.25, pixels, bars);
  terms.mean_image(pixels, means);
  terms.draw_image(noise_of<Real>(NoiseLaw::Uniform, batch, kPixels), pixels, drawn);
  terms.binarize(noise_of<Real>(NoiseLaw::Uniform, kImages, kPixels), binary);
  std::vector<Vector> all;
  for (const auto& one : {eps, z0, kl, zk_bar, log_det_bar, mean_bar, raw_bar, found, bars,
                          variance, means, drawn, binary})
    all.push_back(memory.get(one));
  return all;
}

struct HostMemory {
  std::vector<std::unique_ptr<Vector>> arrays;

  std::span<double> put(const std::vector<float>& values) {
    arrays.push_back(std::make_unique<Vector>(values.begin(), values.end()));
    return *arrays.back();
  }
  std::span<double> zeros(std::size_t count) { return put(std::vector<float>(count)); }
  Vector get(std::span<double> values) { return {values.begin(), values.end()}; }
};

struct CardMemory {
  const ffjord::cuda::FlowStream& stream;
  std::vector<DeviceArray<float>> arrays;

  std::span<float> put(const std::vector<float>& values) {
    arrays.push_back(on_device(values, stream));
    return {arrays.back().data(), values.size()};
  }
  std::span<float> zeros(std::size_t count) { return put(std::vector<float>(count)); }
  Vector get(std::span<float> values) {
    for (const DeviceArray<float>& array : arrays)
      if (array.data() == values.data()) {
        const std::vector<float> found = from_device(array, stream);
        return {found.begin(), found.end()};
      }
    return {};
  }
};

}  // namespace

int main() {
  if (skips_without_device()) return kSkipped;
  Report report;
  const ffjord::cuda::FlowStream stream(0, {});
  const char* names[] = {"eps",          "z0",       "kl",         "zk_bar",
                         "log_det_bar",  "mean_bar", "raw_bar",    "reconstruction",
                         "logits_bar",   "variance", "mean image", "draws",
                         "binary pixels"};
  for (const VarianceBounds& bounds : {VarianceBounds{}, VarianceBounds{0.3, 1.5}})
    for (std::size_t copies : {1, 4})
      for (Likelihood likelihood : {Likelihood::Bernoulli, Likelihood::Categorical}) {
        ffjord::HostVaeTerms<double> host;
        HostMemory host_memory;
        const auto expected = results<double>(host, host_memory, copies, likelihood, bounds);
        const auto card = ffjord::cuda::make_vae_terms(stream);
        CardMemory card_memory{stream, {}};
        const auto found = results<float>(*card, card_memory, copies, likelihood, bounds);
        for (std::size_t i = 0; i < expected.size(); ++i)
          report.expect(names[i], relative_error(found[i], expected[i], 1e-30), 2e-6);
        report.finish(std::string(likelihood == Likelihood::Bernoulli ? "Bernoulli" : "classes") +
                      ", copies " + std::to_string(copies));
      }
  return report.failures() > 0;
}
