#include "core/vae_training.h"

#include "core/shared_batch.h"

namespace ffjord {

std::vector<VaeIteration> train(Vae& vae, const VaeTask& task, const Burst& burst) {
  return run_burst<VaeIteration>(burst, vae, [&](const Batch& batch) {
    const SharedBatch shared(burst.group, batch);
    VaeRequest request;
    request.batch = shared.count();
    request.share = shared.share();
    request.images = {task.images, shared.indices()};
    request.binarize = task.binarize;
    request.noise = shared.noise();
    request.settings = burst.settings;
    request.stop = burst.stop_within();
    const double beta = task.betas[batch.number];
    ElboReport report = vae.loss(request, beta);
    ReportNumbers numbers{{&report.reconstruction, &report.kl}, {}};
    numbers.count(report.forward, report.backward);
    shared.sum(numbers);
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
