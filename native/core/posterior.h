// The flow behind the Gaussian of a variational autoencoder's encoder, as the model calls it:
// z0 (B, L) and the encoder's output h (B, H) → zk (B, L) and log |det ∂zk/∂z0| (B). A posterior
// owns the linear maps that make its numbers of an image out of h. FlowDevice::make_posterior makes
// every kind, which works in the memory of that device.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>

#include "core/device_memory.h"
#include "core/engine.h"
#include "core/posterior_plan.h"

namespace ffjord {

/// What a solve leaves for its pullback.
class PosteriorTape {
 public:
  virtual ~PosteriorTape() = default;
};

/// Rows of a solve. All spans lie in the device's memory.
template <class Real>
struct PosteriorRows {
  std::size_t batch = 0;     ///< B
  std::size_t copies = 1;    ///< rows of z0 that share a row of h; they follow each other
  std::span<const Real> z0;  ///< (B, L)
  std::span<const Real> h;   ///< (B / copies, H)
  std::span<Real> zk;        ///< (B, L), written; another array than z0
  std::span<Real> log_det;   ///< (B), added to
};

/// How to solve, for posteriors with dynamics; the others read nothing of it.
struct PosteriorCall {
  const Noise& noise;  ///< of ε, by CNF blocks
  const Settings& settings;
  bool keep_tape = false;  ///< for a pullback; with one copy only
  std::stop_token stop = {};
};

/// Cotangents, in the device's memory.
template <class Real>
struct PosteriorBars {
  std::span<const Real> zk_bar;       ///< (B, L)
  std::span<const Real> log_det_bar;  ///< (B)
  std::span<Real> z0_bar;             ///< (B, L), written; another array than zk_bar
  std::span<Real> h_bar;              ///< (B, H), added to
  std::span<Real> gradients;          ///< flat buffer, added to; empty: not wanted
};

template <class Real>
class Posterior {
 public:
  virtual ~Posterior() = default;

  /// Must be called after the weights changed and before the next use.
  virtual void parameters_changed() {}

  /// Adds what it counts to `statistics`. Returns null without `keep_tape`. Throws SolveFailure.
  /// z0 and h keep their place and values until the tape's pullback.
  virtual std::unique_ptr<PosteriorTape> solve(const PosteriorRows<Real>& rows,
                                               const PosteriorCall& call,
                                               SolveStatistics& statistics) = 0;

  /// `rows` are those of the solve, zk and log_det as it left them. Adds to `statistics`.
  virtual void pullback(const PosteriorTape& tape, const PosteriorRows<Real>& rows,
                        const PosteriorBars<Real>& bars, SolveStatistics& statistics) = 0;
};

/// What a posterior is made of: its plan, and the flat buffer of weights in the memory of its
/// device. All outlive it.
template <class Real>
struct PosteriorPlace {
  const PosteriorPlan& plan;
  std::span<const Real> parameters;
  DeviceMemory<Real>& memory;
};

/// zk = z0, on any device.
template <class Real>
class NoFlowPosterior : public Posterior<Real> {
 public:
  explicit NoFlowPosterior(const PosteriorPlace<Real>& place)
      : latent_(place.plan.latent), memory_(place.memory) {}

  std::unique_ptr<PosteriorTape> solve(const PosteriorRows<Real>& rows, const PosteriorCall& call,
                                       SolveStatistics&) override {
    copy(rows.batch, rows.z0, rows.zk);
    return call.keep_tape ? std::make_unique<PosteriorTape>() : nullptr;
  }
  void pullback(const PosteriorTape&, const PosteriorRows<Real>& rows,
                const PosteriorBars<Real>& bars, SolveStatistics&) override {
    copy(rows.batch, bars.zk_bar, bars.z0_bar);
  }

 private:
  void copy(std::size_t batch, std::span<const Real> from, std::span<Real> to) {
    memory_.copy_columns(batch, latent_, {from, latent_, 0}, {to, latent_, 0});
  }

  const std::size_t latent_;
  DeviceMemory<Real>& memory_;
};

}  // namespace ffjord
