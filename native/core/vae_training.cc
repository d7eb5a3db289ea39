#include "core/vae_training.h"

#include "core/shared_batch.h"

namespace ffjord {
namespace {

// As of a flow (flow_training.cc): sums of means, and of counts by their weights.
void sum_reports(const SharedBatch& shared, ElboReport& report) {
  const double weight = shared.weight();
  SolveStatistics &forward = report.forward, &backward = report.backward;
  std::vector<double> terms{report.reconstruction,        report.kl,
                            weight * forward.evaluations, weight * forward.accepted,
                            weight * forward.rejected,    weight * backward.evaluations};
  shared.sum(terms);
  report.reconstruction = terms[0];
  report.kl = terms[1];
  forward.evaluations = terms[2];
  forward.accepted = terms[3];
  forward.rejected = terms[4];
  backward.evaluations = terms[5];
}

}  // namespace

std::vector<VaeIteration> train(Vae& vae, const VaeTask& task, const Burst& burst) {
  return run_burst<VaeIteration>(burst, vae, [&](const Batch& batch) {
    const SharedBatch shared(burst.group, batch.indices.size());
    VaeRequest request;
    request.batch = shared.count();
    request.share = shared.share();
    request.images = {task.images, batch.indices.subspan(shared.first(), shared.count())};
    request.binarize = task.binarize;
    request.noise = batch.noise;
    request.noise.row_offset += static_cast<std::uint32_t>(shared.first());
    request.settings = burst.settings;
    request.stop = burst.stop_within();
    const double beta = task.betas[batch.number];
    ElboReport report = vae.loss(request, beta);
    sum_reports(shared, report);
    shared.sum_gradients(vae);
    VaeIteration record;
    record.loss = report.reconstruction + beta * report.kl;
    record.reconstruction = report.reconstruction;
    record.kl = report.kl;
    record.count(report.forward, report.backward);
    return record;
  });
}

}  // namespace ffjord
