#include "core/make_vae.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/batch_parts.h"
#include "core/parameter_buffers.h"
#include "core/vae_chain.h"

namespace ffjord {
namespace {

/// Images are taken in parts of so many, or of fewer once memory does not hold these: a gradient
/// keeps the activations of a part, about 1 MB an image of 28 by 28.
constexpr std::size_t kImagesAtOnce = 256;
/// Samples of an image, each a row of the decoder; the published program takes as many.
constexpr std::size_t kSamplesAtOnce = 500;

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
        chain_(description_, layout_, *device_, buffers_.effective_weights()) {
    chain_.parameters_changed();
  }

  const VaeDescription& description() const override { return description_; }
  const VaeLayout& layout() const override { return layout_; }

  void read(Buffer buffer, const Output& values) const override { buffers_.read(buffer, values); }
  void write(Buffer buffer, const Input& values) override {
    if (buffers_.write(buffer, values)) chain_.parameters_changed();
  }
  void zero_gradients() override { buffers_.zero_gradients(); }
  void sum_gradients(SharedSums& sums) override { buffers_.sum_gradients(sums); }
  PendingNorm step(const OptimizerOptions& options) override {
    PendingNorm norm = buffers_.step(options);
    chain_.parameters_changed();
    return norm;
  }

  std::unique_ptr<Rows> upload(std::size_t count, const Input& images) override {
    require(count > 0 && images.size() == count * layout_.image_size(),
            "images must hold " + std::to_string(layout_.image_size()) + " values each");
    return std::make_unique<DatasetRows<Real>>(*device_, count, images, nullptr,
                                               device_->has_room(images.size()));
  }

  ElboReport elbo(const VaeRequest& request, const VaeOutput& output) override {
    return in_parts(request, [&](const VaeRequest& part, std::size_t first) {
      const Encoded<Real> encoded = chain_.encode(part, false);
      ElboReport report;
      Sampled<Real> rows = chain_.sample(part, encoded, report.forward, false);
      chain_.score(encoded, rows, 0, false);
      const PartOutput to{part.batch, first};
      to.hand_over(rows.reconstruction, output.reconstruction);
      to.hand_over(rows.kl, output.kl);
      to.hand_over(rows.log_det, output.log_det);
      to.hand_over(encoded.mean, output.mean);
      if (!output.variance.empty()) to.hand_over(chain_.variance_of(encoded), output.variance);
      to.hand_over(rows.z0, output.z0);
      to.hand_over(rows.zk, output.zk);
      chain_.set_means(part, rows, report);
      return report;
    });
  }

  ElboReport loss(const VaeRequest& request, double beta, bool clear) override {
    for (;;) {
      if (clear) buffers_.zero_gradients();
      const std::size_t at_once = images_at_once_;
      const auto add = [&](const VaeRequest& part, std::size_t) {
        return add_gradients_of(part, beta);
      };
      try {
        return in_parts(request, add, false);
      } catch (const SolveFailure&) {
        buffers_.zero_gradients();  // of the parts before
        throw;
      } catch (const Error&) {
        // Gradients were added before memory was short: all begin again.
        if (!clear || images_at_once_ == at_once) throw;
      }
    }
  }

  void encode(const VaeRequest& request, const Output& mean, const Output& variance,
              const Output& h) override {
    in_parts(request, [&](const VaeRequest& part, std::size_t first) {
      const Encoded<Real> encoded = chain_.encode(part, false);
      const PartOutput to{part.batch, first};
      to.hand_over(encoded.mean, mean);
      if (!variance.empty()) to.hand_over(chain_.variance_of(encoded), variance);
      to.hand_over(encoded.h, h);
      return ElboReport();
    });
  }

  void decode(std::size_t count, const Input& z, const std::optional<Noise>& draws,
              const Output& images) override {
    const std::size_t latent = layout_.posterior.latent;
    require(count > 0 && z.size() == count * latent,
            "z must hold " + std::to_string(latent) + " values a row");
    for (std::size_t first = 0; first < count;) {
      const std::size_t rows = std::min(images_at_once_, count - first);
      std::optional<Noise> of_part = draws;
      if (of_part) of_part->row_offset += static_cast<std::uint32_t>(first);
      try {
        PartOutput{rows, first}.hand_over(
            chain_.decode(rows, z.subspan(first * latent, rows * latent), of_part), images);
      } catch (const Error& error) {
        if (!takes_fewer(error, rows)) throw;
        continue;
      }
      first += rows;
    }
  }

  SolveStatistics log_likelihood(const VaeRequest& request, std::size_t samples, double clamp,
                                 const LikelihoodOutput& output) override {
    require(samples > 0, "importance sampling needs at least one sample");
    SolveStatistics statistics;
    std::size_t samples_at_once = kSamplesAtOnce;
    in_parts(request, [&](const VaeRequest& part, std::size_t first) {
      const Encoded<Real> encoded = chain_.encode(part, false);
      for (std::size_t image = 0; image < part.batch; ++image) {
        const Encoded<Real> one = chain_.of_image(encoded, image);
        std::vector<double> log_weights;
        for (std::size_t at = 0; at < samples;) {
          require_going(part.stop);
          VaeRequest draw = part;
          draw.batch = std::min(samples_at_once, samples - at);
          draw.eps = {};
          draw.noise = noise_of_samples(part.noise, encoded.keys, image);
          draw.noise.row_offset += static_cast<std::uint32_t>(at);
          SolveStatistics counted;
          try {
            const auto weights = log_weights_of(draw, one, image, clamp, counted);
            log_weights.insert(log_weights.end(), weights.begin(), weights.end());
          } catch (const Error& error) {
            if (!wants_fewer_rows(error, draw.batch)) throw;
            samples_at_once = fewer_rows(draw.batch);
            continue;
          }
          statistics.add(counted, double(draw.batch) / double(samples) / double(request.batch));
          at += draw.batch;
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
  /// Where rows of a part go among those of its call.
  struct PartOutput {
    std::size_t batch, first;

    void hand_over(const RowValues<Real>& values, const Output& to) const {
      const std::size_t width = values.size() / batch;
      if (!to.empty()) ffjord::hand_over(values, to.subspan(first * width, values.size()));
    }
  };

  ElboReport add_gradients_of(const VaeRequest& part, double beta) {
    Encoded<Real> encoded = chain_.encode(part, true);
    ElboReport report;
    Sampled<Real> rows = chain_.sample(part, encoded, report.forward, true);
    chain_.score(encoded, rows, 0, true);
    chain_.set_means(part, rows, report);
    if (!std::isfinite(report.reconstruction + beta * report.kl))
      throw SolveFailure(
          "the loss is not finite; lower the learning rate, clip gradients, or bound the variance",
          0, 0);
    const double share = 1 / double(part.share.whole_of(part.batch));
    chain_.pull_back({share, beta}, part.share, encoded, rows, buffers_.begin_gradients(true),
                     report.backward);
    buffers_.end_gradients(true);
    return report;
  }

  /// Noise of an image's samples, rows of a call of its own. Calls count down from that of the
  /// images, so that the last of all numbers, which evaluation takes, does not wrap around to those
  /// of training.
  static Noise noise_of_samples(const Noise& images, const std::vector<RowKey>& keys,
                                std::size_t image) {
    const RowKey key = keys.empty()
                           ? RowKey{0, images.call - images.row_offset - std::uint32_t(image)}
                           : keys[image];
    return {images.seed, key.call, key.row, false, {}, {}};
  }

  /// −reconstruction − KL of draw.batch samples of `one`, number `image` of the call's part, which
  /// a failure names.
  std::vector<double> log_weights_of(const VaeRequest& draw, const Encoded<Real>& one,
                                     std::size_t image, double clamp,
                                     SolveStatistics& counted) const {
    try {
      Sampled<Real> rows = chain_.sample(draw, one, counted, false);
      chain_.score(one, rows, clamp, false);
      const std::vector<Real>&reconstruction = rows.reconstruction.read(), &kl = rows.kl.read();
      std::vector<double> weights;
      for (std::size_t i = 0; i < draw.batch; ++i)
        weights.push_back(-double(reconstruction[i]) - double(kl[i]));
      return weights;
    } catch (SolveFailure& failure) {
      failure.rows.assign(1, image);
      throw;
    }
  }

  static void require_going(const std::stop_token& stop) {
    if (stop.stop_requested()) throw Error(ErrorCode::Cancelled, "stopped");
  }

  /// `call(part request, first row)` over parts of a batch; means and counts of what it reports are
  /// those of the whole. Where memory is short, later parts are smaller, and this one too if
  /// `repeats`.
  template <class Call>
  ElboReport in_parts(const VaeRequest& request, const Call& call, bool repeats = true) {
    require(request.batch > 0, "the batch is empty");
    const std::size_t latent = layout_.posterior.latent;
    require(request.eps.empty() || request.eps.size() == request.batch * latent,
            "eps must hold " + std::to_string(latent) + " values a row");
    ElboReport joined;
    for (std::size_t first = 0; first < request.batch;) {
      require_going(request.stop);
      VaeRequest part = request;
      part.batch = std::min(images_at_once_, request.batch - first);
      part.share = {request.share.first + first, request.share.whole_of(request.batch),
                    request.share.sums};
      part.images = request.images.part(first, part.batch, request.batch);
      if (!request.eps.empty()) part.eps = request.eps.subspan(first * latent, part.batch * latent);
      part.noise.row_offset += static_cast<std::uint32_t>(first);
      if (!request.noise.keys.empty())
        part.noise.keys.assign(request.noise.keys.begin() + first,
                               request.noise.keys.begin() + first + part.batch);
      ElboReport report;
      try {
        report = numbered_from(first, [&] { return call(part, first); });
      } catch (const Error& error) {
        // Ranks that add up numbers within a call must come to the same calls.
        if (request.share.sums || !takes_fewer(error, part.batch) || !repeats) throw;
        continue;
      }
      for (SolveStatistics* counted : {&report.forward, &report.backward})
        counted->smallest_step_row += first;
      const double weight = double(part.batch) / double(request.batch);
      joined.reconstruction += report.reconstruction;
      joined.kl += report.kl;
      joined.forward.add(report.forward, weight);
      joined.backward.add(report.backward, weight);
      first += part.batch;
    }
    return joined;
  }

  bool takes_fewer(const Error& error, std::size_t images) {
    if (!wants_fewer_rows(error, images)) return false;
    images_at_once_ = fewer_rows(images);
    return true;
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
  VaeChain<Real> chain_;
  std::size_t images_at_once_ = kImagesAtOnce;
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
