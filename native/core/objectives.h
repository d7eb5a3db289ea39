// Log-densities, samples, scores and the training loss, as compositions of solve and pullback.
// Nothing here knows a device.
#pragma once

#include "core/engine.h"

namespace ffjord {

/// Coefficients in the loss, one a regulariser of the settings; 0 tracks it only.
using RegulariserWeights = std::vector<double>;

/// log N(z; 0, I) of each row of z (B, D), plus sign · Δlogp (B).
std::vector<double> log_density(const std::vector<double>& z, const std::vector<double>& delta_logp,
                                double sign);

/// log p(x) = log N(z; 0, I) − Δlogp, nats a row; writes log_prob (B), −∞ outside of the support.
/// Batches over 65,536 rows are
/// cut (each cut steps on its own); noise stays that of the whole batch.
SolveResult log_prob(Flow& flow, const SolveRequest& request, const Output& log_prob);

struct LossReport {
  double loss = 0;  ///< −mean log p(x) + Σ weight · mean regulariser, nats a sample
  double negative_log_prob = 0;           ///< −mean log p(x)
  std::vector<double> regularisers;       ///< means over the batch, unweighted
  std::vector<double> block_evaluations;  ///< of the forward solve, one a CNF block
  SolveStatistics forward, backward;
};

/// One part of a batch whose gradients are added up from several solves.
struct BatchPart {
  double weight = 1;  ///< its share of the batch's rows
  bool first = true;  ///< clears the gradient buffer
};

/// The loss and its gradients, which replace the gradient buffer; `rows_bar` (B, shape) takes
/// ∂loss/∂x, `context_bar` (B, C) ∂loss/∂c where it is not empty. Throws SolveFailure, also for a
/// loss that is not finite, and OutsideSupport; the gradients are zero then. A share of a
/// batch gives what its rows add to the loss, the means and the gradients of the whole.
LossReport loss(Flow& flow, SolveRequest request, const RegulariserWeights& weights,
                const Output& rows_bar, const Output& context_bar = {}, const BatchPart& part = {});

/// ∇ₓ log p(x), (B, shape). Leaves the gradient buffer as it is. Throws OutsideSupport.
SolveResult score(Flow& flow, SolveRequest request, const Output& score);

/// x = flow⁻¹(z) with z ~ N(0, I) drawn from request.noise in block 0xFFFF, times `temperature`.
/// `rows` (B, shape); `log_prob` (B) may be empty. request.rows is ignored.
SolveResult sample(Flow& flow, SolveRequest request, double temperature, const Output& rows,
                   const Output& log_prob);

}  // namespace ffjord
