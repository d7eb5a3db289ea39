#include "core/vae_training.h"

#include <chrono>

namespace ffjord {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

VaeIterationRecord iterate(Vae& vae, const VaeRequest& batch, double beta,
                           const OptimizerOptions& optimizer) {
  const ElboReport report = vae.loss(batch, beta);
  VaeIterationRecord record;
  record.loss = report.reconstruction + beta * report.kl;
  record.reconstruction = report.reconstruction;
  record.kl = report.kl;
  record.evaluations = report.forward.evaluations;
  record.backward_evaluations = report.backward.evaluations;
  record.accepted = report.forward.accepted;
  record.rejected = report.forward.rejected;
  record.gradient_norm = vae.step(optimizer).gradient_norm;
  return record;
}

}  // namespace

std::vector<VaeIterationRecord> train(Vae& vae, const VaeBurstRequest& request) {
  const double start = now();
  std::vector<VaeIterationRecord> records;
  VaeRequest batch;
  batch.binarize = request.binarize;
  batch.settings = request.settings;
  batch.noise.seed = request.noise_seed;
  batch.stop = request.stop;
  OptimizerOptions optimizer = request.optimizer;
  std::size_t first = 0;

  for (std::size_t iteration = 0; iteration < request.batch_sizes.size(); ++iteration) {
    const double began = now();
    if (iteration > 0 && (began - start >= request.seconds || request.stop.stop_requested())) break;
    batch.batch = request.batch_sizes[iteration];
    batch.noise.call = request.first_call + static_cast<std::uint32_t>(iteration);
    batch.images = {request.images, request.indices.subspan(first, batch.batch)};
    first += batch.batch;
    optimizer.learning_rate = request.learning_rates[iteration];

    VaeIterationRecord record;
    try {
      record = iterate(vae, batch, request.betas[iteration], optimizer);
      ++optimizer.step;
    } catch (const Error& error) {
      // As training of a flow: what went before is reported first, and the weights are those of the
      // last step.
      const bool fails = error.code == ErrorCode::SolveFailed;
      const bool skips = fails && request.skip_failures;
      if (!skips && (fails || error.code == ErrorCode::Cancelled) && !records.empty()) break;
      if (!skips) throw;
      record = {};
      record.skipped = true;
    }
    record.seconds = now() - began;
    records.push_back(record);
  }
  return records;
}

}  // namespace ffjord
