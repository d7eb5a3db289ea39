// The calls of an autoencoder.
#pragma once

#include "binding/jobs.h"
#include "core/vae.h"

namespace ffjord::binding {

using VaeContext = JobContext<Vae>;

MakeJob<Vae> elbo_job, vae_loss_job, encode_job, decode_job, log_likelihood_job;

}  // namespace ffjord::binding
