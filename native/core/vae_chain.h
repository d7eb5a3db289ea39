// The chain of an autoencoder's parts on one device, as rows of a batch pass it: images → what the
// encoder says of them → z0 and zk → both parts of −ELBO, and back.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/dataset_rows.h"
#include "core/flow_device.h"
#include "core/vae.h"

namespace ffjord {

/// What the encoder says of images.
template <class Real>
struct Encoded {
  std::size_t count = 0;
  RowValues<Real> x, h, mean, raw;  // (count, D), (count, H), (count, L), (count, L)
  std::vector<RowKey> keys;         // of the images, where they draw by their values
  std::unique_ptr<FeedForwardTape> encoder, mean_net, raw_net;  // where they are kept
};

/// Rows of z0 and what becomes of them, `copies` an image.
template <class Real>
struct Sampled {
  std::size_t batch = 0, copies = 1;
  RowValues<Real> eps, z0, zk, log_det;        // (B, L) three times, (B)
  RowValues<Real> logits, reconstruction, kl;  // (B, D) or (B, 256, D), (B), (B)
  std::unique_ptr<PosteriorTape> posterior;
  std::unique_ptr<FeedForwardTape> decoder;
};

template <class Real>
class VaeChain {
 public:
  /// All outlive the chain; `weights` is the flat buffer, in the device's memory.
  VaeChain(const VaeDescription& description, const VaeLayout& layout, FlowDevice<Real>& device,
           std::span<const Real> weights)
      : description_(description),
        layout_(layout),
        device_(device),
        terms_(device.make_vae_terms()),
        encoder_(device.make_feed_forward({layout.encoder, weights})),
        mean_(device.make_feed_forward({layout.mean, weights})),
        raw_(device.make_feed_forward({layout.variance, weights})),
        decoder_(device.make_feed_forward({layout.decoder, weights})),
        posterior_(device.make_posterior({layout.posterior, weights, device})) {}

  void parameters_changed() {
    for (FeedForward<Real>* net : {encoder_.get(), mean_.get(), raw_.get(), decoder_.get()})
      net->parameters_changed();
    posterior_->parameters_changed();
  }

  Encoded<Real> encode(const VaeRequest& request, bool keep) const {
    const std::size_t latent = layout_.posterior.latent, batch = request.batch;
    Encoded<Real> encoded{batch,
                          gather(request),
                          zeros(batch * layout_.condition()),
                          zeros(batch * latent),
                          zeros(batch * latent),
                          {},
                          {},
                          {},
                          {}};
    if (request.noise.by_values) encoded.keys = keys_of(request.noise, encoded.x.read(), batch);
    if (request.binarize)
      terms_->binarize(noise_of(request.noise, encoded.keys, NoiseLaw::Uniform, kPixelBlock, batch,
                                layout_.image_size()),
                       encoded.x.on_device());
    encoded.encoder =
        encoder_->apply(batch, encoded.x.read_on_device(), encoded.h.on_device(), keep);
    encoded.mean_net =
        mean_->apply(batch, encoded.h.read_on_device(), encoded.mean.on_device(), keep);
    encoded.raw_net = raw_->apply(batch, encoded.h.read_on_device(), encoded.raw.on_device(), keep);
    return encoded;
  }

  /// One of the images alone.
  Encoded<Real> of_image(const Encoded<Real>& all, std::size_t image) const {
    const auto part = [&](const RowValues<Real>& values) {
      const std::size_t width = values.size() / all.count;
      RowValues<Real> row = zeros(width);
      device_.copy_columns(1, width,
                           {values.read_on_device().subspan(image * width, width), width, 0},
                           {row.on_device(), width, 0});
      return row;
    };
    return {1, part(all.x), part(all.h), part(all.mean), part(all.raw), {}, {}, {}, {}};
  }

  RowValues<Real> variance_of(const Encoded<Real>& encoded) const {
    RowValues<Real> variance = zeros(encoded.raw.size());
    terms_->variance(description_.variance, encoded.raw.read_on_device(), variance.on_device());
    return variance;
  }

  /// z0 and zk of request.batch rows, as many of each image.
  Sampled<Real> sample(const VaeRequest& request, const Encoded<Real>& encoded,
                       SolveStatistics& statistics, bool keep) const {
    const std::size_t latent = layout_.posterior.latent, batch = request.batch;
    const auto wide = [&] { return zeros(batch * latent); };
    Sampled<Real> rows{batch,
                       batch / encoded.count,
                       wide(),
                       wide(),
                       wide(),
                       zeros(batch),
                       zeros(batch * layout_.decoder.size_out()),
                       zeros(batch),
                       zeros(batch),
                       {},
                       {}};
    BlockNoise<Real> noise =
        noise_of(request.noise, encoded.keys, NoiseLaw::Gaussian, kLatentBlock, batch, latent);
    if (!request.eps.empty()) noise.given = request.eps.template as<Real>();
    terms_->draw(noise, latent_rows(encoded, rows));
    const PosteriorCall call{request.noise, request.settings, keep, request.stop};
    rows.posterior = posterior_->solve(posterior_rows(encoded, rows), call, statistics);
    return rows;
  }

  /// Both parts of −ELBO.
  void score(const Encoded<Real>& encoded, Sampled<Real>& rows, double clamp, bool keep) const {
    rows.decoder =
        decoder_->apply(rows.batch, rows.zk.read_on_device(), rows.logits.on_device(), keep);
    PixelRows<Real> pixels = pixel_rows(encoded, rows);
    pixels.clamp = clamp;
    terms_->reconstruction(pixels, rows.reconstruction.on_device());
    terms_->divergence(latent_rows(encoded, rows), rows.zk.read_on_device(),
                       rows.log_det.read_on_device(), rows.kl.on_device());
  }

  /// What the rows at hand add to the means of the whole batch.
  void set_means(const VaeRequest& request, const Sampled<Real>& rows, ElboReport& report) const {
    const double whole = double(request.share.whole_of(request.batch));
    const Slots slots(request.batch, request.share);
    const auto mean_of = [&](const RowValues<Real>& values) {
      const std::vector<Real>& all = values.read();
      return sum_of_rows(slots, [&](std::size_t row) { return double(all[row]) / whole; });
    };
    report.reconstruction = mean_of(rows.reconstruction);
    report.kl = mean_of(rows.kl);
  }

  /// Adds the gradients of share · Σ (reconstruction + β KL) to the flat buffer of weights.
  void pull_back(const ElboBar& bar, const BatchShare& share, Encoded<Real>& encoded,
                 Sampled<Real>& rows, std::span<Real> gradients, SolveStatistics& statistics) {
    const std::size_t batch = rows.batch;
    RowValues<Real> logits_bar = zeros(rows.logits.size()), zk_bar = zeros(rows.zk.size()),
                    z0_bar = zeros(rows.zk.size()), log_det_bar = zeros(batch),
                    mean_bar = zeros(rows.zk.size()), raw_bar = zeros(rows.zk.size()),
                    h_bar = zeros(encoded.h.size());
    const std::span<const Real> zk = rows.zk.read_on_device(), h = encoded.h.read_on_device();

    terms_->seed_reconstruction(bar.share, pixel_rows(encoded, rows), logits_bar.on_device());
    decoder_->pullback(*rows.decoder, {batch, zk, logits_bar.read_on_device(), zk_bar.on_device(),
                                       gradients, share});
    terms_->seed_divergence(bar, zk, zk_bar.on_device(), log_det_bar.on_device());
    posterior_->pullback(*rows.posterior, posterior_rows(encoded, rows),
                         {zk_bar.read_on_device(), log_det_bar.read_on_device(), z0_bar.on_device(),
                          h_bar.on_device(), gradients},
                         statistics);
    terms_->pull_back_draw(bar, latent_rows(encoded, rows), z0_bar.read_on_device(),
                           mean_bar.on_device(), raw_bar.on_device());
    mean_->pullback(*encoded.mean_net,
                    {batch, h, mean_bar.read_on_device(), h_bar.on_device(), gradients, share});
    raw_->pullback(*encoded.raw_net,
                   {batch, h, raw_bar.read_on_device(), h_bar.on_device(), gradients, share});
    encoder_->pullback(
        *encoded.encoder,
        {batch, encoded.x.read_on_device(), h_bar.read_on_device(), {}, gradients, share});
  }

  /// z (count, L) → means of p(x | z), or with noise draws from it.
  RowValues<Real> decode(std::size_t count, const Input& z,
                         const std::optional<Noise>& draws) const {
    const std::size_t size = layout_.image_size();
    const RowValues<Real> rows(device_, z.template as<Real>());
    RowValues<Real> logits = zeros(count * layout_.decoder.size_out()), x = zeros(count * size);
    decoder_->apply(count, rows.read_on_device(), logits.on_device(), false);
    PixelRows<Real> pixels;
    pixels.likelihood = description_.likelihood;
    pixels.size = size;
    pixels.logits = logits.read_on_device();
    if (draws)
      terms_->draw_image(noise_of(*draws, {}, NoiseLaw::Uniform, kPixelBlock, count, size), pixels,
                         x.on_device());
    else
      terms_->mean_image(pixels, x.on_device());
    return x;
  }

 private:
  RowValues<Real> zeros(std::size_t count) const { return RowValues<Real>::zeros(device_, count); }

  BlockNoise<Real> noise_of(const Noise& noise, const std::vector<RowKey>& keys, NoiseLaw law,
                            std::uint32_t block, std::size_t batch, std::size_t columns) const {
    BlockNoise<Real> drawn;
    drawn.probes = 1;
    drawn.batch = batch;
    drawn.columns = columns;
    drawn.law = law;
    drawn.key = {noise.seed, noise.call, block, 0};
    drawn.row_offset = noise.row_offset;
    drawn.keys = keys;
    return drawn;
  }

  RowValues<Real> gather(const VaeRequest& request) const {
    const std::size_t size = layout_.image_size();
    if (!request.images.set) {
      require(request.images.given.size() == request.batch * size,
              "images must hold " + std::to_string(size) + " values each");
      return RowValues<Real>(device_, request.images.given.template as<Real>());
    }
    const auto& set = DatasetRows<Real>::of(*request.images.set, request.images.indices);
    RowValues<Real> x = zeros(request.batch * size);
    BatchGather<Real> gather(device_);
    gather.add(set.values(), request.images.indices, set.stays(), x);
    gather.run();
    return x;
  }

  LatentRows<Real> latent_rows(const Encoded<Real>& encoded, Sampled<Real>& rows) const {
    return {rows.copies,
            layout_.posterior.latent,
            description_.variance,
            encoded.mean.read_on_device(),
            encoded.raw.read_on_device(),
            rows.eps.on_device(),
            rows.z0.on_device()};
  }
  PosteriorRows<Real> posterior_rows(const Encoded<Real>& encoded, Sampled<Real>& rows) const {
    return {rows.batch,
            rows.copies,
            rows.z0.read_on_device(),
            encoded.h.read_on_device(),
            rows.zk.on_device(),
            rows.log_det.on_device()};
  }
  PixelRows<Real> pixel_rows(const Encoded<Real>& encoded, const Sampled<Real>& rows) const {
    return {description_.likelihood,    rows.copies,
            layout_.image_size(),       0,
            encoded.x.read_on_device(), rows.logits.read_on_device()};
  }

  const VaeDescription& description_;
  const VaeLayout& layout_;
  FlowDevice<Real>& device_;
  const std::unique_ptr<VaeTerms<Real>> terms_;
  const std::unique_ptr<FeedForward<Real>> encoder_, mean_, raw_, decoder_;
  const std::unique_ptr<Posterior<Real>> posterior_;
};

}  // namespace ffjord
