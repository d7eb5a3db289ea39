#include "core/make_vae.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/dataset_rows.h"
#include "core/parameter_buffers.h"

namespace ffjord {
namespace {

/// Images are taken in parts of so many: a gradient keeps the activations of a part, about 1 MB an
/// image of 28 by 28.
constexpr std::size_t kImagesAtOnce = 256;
/// Samples of an image, each a row of the decoder; the published program takes as many.
constexpr std::size_t kSamplesAtOnce = 500;

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
class DeviceVae : public Vae {
 public:
  DeviceVae(const VaeDescription& description, std::optional<std::uint64_t> seed,
            std::unique_ptr<FlowDevice<Real>> device)
      : description_(description),
        layout_(description),
        device_(std::move(device)),
        buffers_(layout_, *device_,
                 seed ? initial_parameters(layout_, *seed) : std::vector<double>(),
                 std::vector<double>()),
        terms_(device_->make_vae_terms()),
        encoder_(make_net(layout_.encoder)),
        mean_(make_net(layout_.mean)),
        raw_(make_net(layout_.variance)),
        decoder_(make_net(layout_.decoder)),
        posterior_(
            device_->make_posterior({layout_.posterior, buffers_.effective_weights(), *device_})) {
    parameters_changed();
  }

  const VaeDescription& description() const override { return description_; }
  const VaeLayout& layout() const override { return layout_; }

  void read(Buffer buffer, const Output& values) const override { buffers_.read(buffer, values); }
  void write(Buffer buffer, const Input& values) override {
    if (buffers_.write(buffer, values)) parameters_changed();
  }
  void zero_gradients() override { buffers_.zero_gradients(); }
  StepReport step(const OptimizerOptions& options) override {
    const StepReport report{buffers_.step(options)};
    parameters_changed();
    return report;
  }

  std::unique_ptr<Rows> upload(std::size_t count, const Input& images) override {
    require(count > 0 && images.size() == count * layout_.image_size(),
            "images must hold " + std::to_string(layout_.image_size()) + " values each");
    return std::make_unique<DatasetRows<Real>>(*device_, count, images, nullptr,
                                               device_->has_room(images.size()));
  }

  ElboReport elbo(const VaeRequest& request, const VaeOutput& output) override {
    return in_parts(request, [&](const VaeRequest& part, std::size_t first) {
      const Encoded<Real> encoded = encode_images(part, false);
      ElboReport report;
      Sampled<Real> rows = sample(part, encoded, report.forward, false);
      score(encoded, rows, 0, false);
      const auto hand_over = [&](const RowValues<Real>& values, const Output& to) {
        const std::size_t width = values.size() / part.batch;
        if (!to.empty())
          to.subspan(first * width, values.size()).assign(std::span<const Real>(values.read()));
      };
      hand_over(rows.reconstruction, output.reconstruction);
      hand_over(rows.kl, output.kl);
      hand_over(rows.log_det, output.log_det);
      hand_over(encoded.mean, output.mean);
      if (!output.variance.empty()) hand_over(variance_of(encoded), output.variance);
      hand_over(rows.z0, output.z0);
      hand_over(rows.zk, output.zk);
      set_means(part, rows, report);
      return report;
    });
  }

  ElboReport loss(const VaeRequest& request, double beta, bool clear) override {
    if (clear) buffers_.zero_gradients();
    return in_parts(request, [&](const VaeRequest& part, std::size_t) {
      Encoded<Real> encoded = encode_images(part, true);
      ElboReport report;
      Sampled<Real> rows = sample(part, encoded, report.forward, true);
      score(encoded, rows, 0, true);
      set_means(part, rows, report);
      if (!std::isfinite(report.reconstruction + beta * report.kl)) {
        buffers_.zero_gradients();
        throw SolveFailure(
            "the loss is not finite; lower the learning rate, clip gradients, or bound the "
            "variance",
            0, 0);
      }
      const double share = 1 / double(part.share.whole_of(part.batch));
      pull_back({share, beta}, encoded, rows, report.backward);
      return report;
    });
  }

  void encode(const VaeRequest& request, const Output& mean, const Output& variance,
              const Output& h) override {
    in_parts(request, [&](const VaeRequest& part, std::size_t first) {
      const Encoded<Real> encoded = encode_images(part, false);
      const auto hand_over = [&](const RowValues<Real>& values, const Output& to) {
        const std::size_t width = values.size() / part.batch;
        if (!to.empty())
          to.subspan(first * width, values.size()).assign(std::span<const Real>(values.read()));
      };
      hand_over(encoded.mean, mean);
      if (!variance.empty()) hand_over(variance_of(encoded), variance);
      hand_over(encoded.h, h);
      return ElboReport();
    });
  }

  void decode(std::size_t count, const Input& z, const std::optional<Noise>& draws,
              const Output& images) override {
    const std::size_t latent = layout_.posterior.latent, size = layout_.image_size();
    require(count > 0 && z.size() == count * latent,
            "z must hold " + std::to_string(latent) + " values a row");
    for (std::size_t first = 0; first < count; first += kImagesAtOnce) {
      const std::size_t rows = std::min(kImagesAtOnce, count - first);
      const RowValues<Real> part(*device_,
                                 z.subspan(first * latent, rows * latent).template as<Real>());
      RowValues<Real> logits = zeros(rows * layout_.decoder.size_out()), x = zeros(rows * size);
      decoder_->apply(rows, part.read_on_device(), logits.on_device(), false);
      PixelRows<Real> pixels;
      pixels.likelihood = description_.likelihood;
      pixels.size = size;
      pixels.logits = logits.read_on_device();
      if (draws) {
        Noise noise = *draws;
        noise.row_offset += static_cast<std::uint32_t>(first);
        terms_->draw_image(noise_of(noise, {}, NoiseLaw::Uniform, kPixelBlock, rows, size), pixels,
                           x.on_device());
      } else {
        terms_->mean_image(pixels, x.on_device());
      }
      images.subspan(first * size, rows * size).assign(std::span<const Real>(x.read()));
    }
  }

  SolveStatistics log_likelihood(const VaeRequest& request, std::size_t samples, double clamp,
                                 const LikelihoodOutput& output) override {
    require(samples > 0, "importance sampling needs at least one sample");
    SolveStatistics statistics;
    in_parts(request, [&](const VaeRequest& part, std::size_t first) {
      const Encoded<Real> encoded = encode_images(part, false);
      for (std::size_t image = 0; image < part.batch; ++image) {
        // An image's samples are rows of a call of its own.
        const RowKey key =
            encoded.keys.empty()
                ? RowKey{0, part.noise.call + part.noise.row_offset + std::uint32_t(image)}
                : encoded.keys[image];
        const Encoded<Real> one = of_image(encoded, image);
        std::vector<double> log_weights;
        for (std::size_t at = 0; at < samples; at += kSamplesAtOnce) {
          require_going(part.stop);
          VaeRequest draw = part;
          draw.batch = std::min(kSamplesAtOnce, samples - at);
          draw.eps = {};
          draw.noise = {part.noise.seed, key.call, key.row + std::uint32_t(at), false, {}, {}};
          SolveStatistics counted;
          Sampled<Real> rows = sample(draw, one, counted, false);
          score(one, rows, clamp, false);
          statistics.add(counted, double(draw.batch) / double(samples) / double(request.batch));
          const std::vector<Real>&reconstruction = rows.reconstruction.read(), &kl = rows.kl.read();
          for (std::size_t i = 0; i < draw.batch; ++i)
            log_weights.push_back(-double(reconstruction[i]) - double(kl[i]));
        }
        const auto [log_mean, mean_log] = means_of(log_weights);
        output.log_likelihood.subspan(first + image, 1).assign(std::span(&log_mean, 1));
        if (!output.mean_log_weight.empty())
          output.mean_log_weight.subspan(first + image, 1).assign(std::span(&mean_log, 1));
      }
      return ElboReport();
    });
    return statistics;
  }

 private:
  RowValues<Real> zeros(std::size_t count) const { return RowValues<Real>::zeros(*device_, count); }

  std::unique_ptr<FeedForward<Real>> make_net(const FeedForwardPlan& plan) {
    return device_->make_feed_forward({plan, buffers_.effective_weights()});
  }

  void parameters_changed() {
    for (FeedForward<Real>* net : {encoder_.get(), mean_.get(), raw_.get(), decoder_.get()})
      net->parameters_changed();
    posterior_->parameters_changed();
  }

  static void require_going(const std::stop_token& stop) {
    if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "stopped");
  }

  /// `call(part request, first row)` over parts of a batch; means and counts of what it reports are
  /// those of the whole.
  template <class Call>
  ElboReport in_parts(const VaeRequest& request, const Call& call) const {
    require(request.batch > 0, "the batch is empty");
    const std::size_t latent = layout_.posterior.latent;
    require(request.eps.empty() || request.eps.size() == request.batch * latent,
            "eps must hold " + std::to_string(latent) + " values a row");
    ElboReport joined;
    for (std::size_t first = 0; first < request.batch; first += kImagesAtOnce) {
      require_going(request.stop);
      VaeRequest part = request;
      part.batch = std::min(kImagesAtOnce, request.batch - first);
      part.share = {request.share.first + first, request.share.whole_of(request.batch)};
      part.images = request.images.part(first, part.batch, request.batch);
      if (!request.eps.empty()) part.eps = request.eps.subspan(first * latent, part.batch * latent);
      part.noise.row_offset += static_cast<std::uint32_t>(first);
      if (!request.noise.keys.empty())
        part.noise.keys.assign(request.noise.keys.begin() + first,
                               request.noise.keys.begin() + first + part.batch);
      const ElboReport report = numbered_from(first, [&] { return call(part, first); });
      const double weight = double(part.batch) / double(request.batch);
      joined.reconstruction += report.reconstruction;
      joined.kl += report.kl;
      joined.forward.add(report.forward, weight);
      joined.backward.add(report.backward, weight);
    }
    return joined;
  }

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
      return RowValues<Real>(*device_, request.images.given.template as<Real>());
    }
    const auto& set = DatasetRows<Real>::of(*request.images.set, request.images.indices);
    RowValues<Real> x = zeros(request.batch * size);
    BatchGather<Real> gather(*device_);
    gather.add(set.values(), request.images.indices, set.stays(), x);
    gather.run();
    return x;
  }

  Encoded<Real> encode_images(const VaeRequest& request, bool keep) const {
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
      device_->copy_columns(1, width,
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
      return sum_of_rows(slots, [&](std::size_t row) { return double(all[row]); }) / whole;
    };
    report.reconstruction = mean_of(rows.reconstruction);
    report.kl = mean_of(rows.kl);
  }

  void pull_back(const ElboBar& bar, Encoded<Real>& encoded, Sampled<Real>& rows,
                 SolveStatistics& statistics) {
    const std::size_t batch = rows.batch;
    const std::span<Real> gradients = buffers_.begin_gradients(true);
    RowValues<Real> logits_bar = zeros(rows.logits.size()), zk_bar = zeros(rows.zk.size()),
                    z0_bar = zeros(rows.zk.size()), log_det_bar = zeros(batch),
                    mean_bar = zeros(rows.zk.size()), raw_bar = zeros(rows.zk.size()),
                    h_bar = zeros(encoded.h.size());
    const std::span<const Real> zk = rows.zk.read_on_device(), h = encoded.h.read_on_device();

    terms_->seed_reconstruction(bar.share, pixel_rows(encoded, rows), logits_bar.on_device());
    decoder_->pullback(*rows.decoder,
                       {batch, zk, logits_bar.read_on_device(), zk_bar.on_device(), gradients});
    terms_->seed_divergence(bar, zk, zk_bar.on_device(), log_det_bar.on_device());
    posterior_->pullback(*rows.posterior, posterior_rows(encoded, rows),
                         {zk_bar.read_on_device(), log_det_bar.read_on_device(), z0_bar.on_device(),
                          h_bar.on_device(), gradients},
                         statistics);
    terms_->pull_back_draw(bar, latent_rows(encoded, rows), z0_bar.read_on_device(),
                           mean_bar.on_device(), raw_bar.on_device());
    mean_->pullback(*encoded.mean_net,
                    {batch, h, mean_bar.read_on_device(), h_bar.on_device(), gradients});
    raw_->pullback(*encoded.raw_net,
                   {batch, h, raw_bar.read_on_device(), h_bar.on_device(), gradients});
    encoder_->pullback(*encoded.encoder,
                       {batch, encoded.x.read_on_device(), h_bar.read_on_device(), {}, gradients});
    buffers_.end_gradients(true);
  }

  /// log 1/S Σ exp, and 1/S Σ; by Jensen the second is not above the first, also as they are
  /// rounded.
  static std::pair<double, double> means_of(const std::vector<double>& values) {
    const double most = *std::max_element(values.begin(), values.end());
    double sum = 0, log_sum = 0;
    for (double value : values) {
      sum += value - most;
      log_sum += std::exp(value - most);
    }
    const double count = double(values.size());
    const double log_mean = most + std::log(log_sum / count);
    return {log_mean, std::min(log_mean, most + sum / count)};
  }

  const VaeDescription description_;
  const VaeLayout layout_;
  const std::unique_ptr<FlowDevice<Real>> device_;
  ParameterBuffers<Real> buffers_;
  const std::unique_ptr<VaeTerms<Real>> terms_;
  const std::unique_ptr<FeedForward<Real>> encoder_, mean_, raw_, decoder_;
  const std::unique_ptr<Posterior<Real>> posterior_;
};

}  // namespace

template <class Real>
std::unique_ptr<Vae> make_vae(const VaeDescription& description, std::optional<std::uint64_t> seed,
                              std::unique_ptr<FlowDevice<Real>> device) {
  return std::make_unique<DeviceVae<Real>>(description, seed, std::move(device));
}

template std::unique_ptr<Vae> make_vae(const VaeDescription&, std::optional<std::uint64_t>,
                                       std::unique_ptr<FlowDevice<float>>);
template std::unique_ptr<Vae> make_vae(const VaeDescription&, std::optional<std::uint64_t>,
                                       std::unique_ptr<FlowDevice<double>>);

}  // namespace ffjord
