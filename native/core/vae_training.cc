#include "core/vae_training.h"

namespace ffjord {

std::vector<VaeIteration> train(Vae& vae, const VaeTask& task, const Burst& burst) {
  return run_burst<VaeIteration>(burst, vae, [&](const Batch& batch) {
    VaeRequest request;
    request.batch = batch.indices.size();
    request.images = {task.images, batch.indices};
    request.binarize = task.binarize;
    request.noise = batch.noise;
    request.settings = burst.settings;
    request.stop = burst.stop;
    const double beta = task.betas[batch.number];
    const ElboReport report = vae.loss(request, beta);
    VaeIteration record;
    record.loss = report.reconstruction + beta * report.kl;
    record.reconstruction = report.reconstruction;
    record.kl = report.kl;
    record.count(report.forward, report.backward);
    return record;
  });
}

}  // namespace ffjord
