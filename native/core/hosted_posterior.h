// A posterior of a device with memory of its own that another device computes in the host's memory:
// z0, the encoder's output and the weights cross to it, zk and cotangents back. A row is 64 numbers
// and 256 of h, against 784 pixels and the convolutions of the device; but where a posterior has
// many weights of its own, as cnf_rank of the paper, the host is likely to take most of the time.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/flow_device.h"
#include "core/row_values.h"

namespace ffjord {

template <class Real>
class HostedPosterior : public Posterior<Real> {
 public:
  /// Of `place`, whose memory is a device's, by what `host` makes.
  HostedPosterior(const PosteriorPlace<Real>& place, std::unique_ptr<FlowDevice<Real>> host)
      : memory_(place.memory),
        on_device_(place.parameters),
        host_(std::move(host)),
        parameters_(place.parameters.size()),
        posterior_(host_->make_posterior({place.plan, parameters_, *host_})) {}

  void parameters_changed() override {
    const Numbers parameters = to_host(on_device_);
    std::copy(parameters.begin(), parameters.end(), parameters_.begin());
    posterior_->parameters_changed();
  }

  std::unique_ptr<PosteriorTape> solve(const PosteriorRows<Real>& rows, const PosteriorCall& call,
                                       SolveStatistics& statistics) override {
    auto tape = std::make_unique<Tape>();
    tape->z0 = to_host(rows.z0);
    tape->h = to_host(rows.h);
    tape->zk.resize(rows.zk.size());
    tape->log_det = to_host(rows.log_det);
    tape->tape = posterior_->solve(tape->rows(rows), call, statistics);
    to_device(tape->zk, rows.zk);
    to_device(tape->log_det, rows.log_det);
    return call.keep_tape ? std::move(tape) : nullptr;
  }

  void pullback(const PosteriorTape& any_tape, const PosteriorRows<Real>& rows,
                const PosteriorBars<Real>& bars, SolveStatistics& statistics) override {
    const auto& tape = dynamic_cast<const Tape&>(any_tape);
    const Numbers zk_bar = to_host(bars.zk_bar), log_det_bar = to_host(bars.log_det_bar);
    Numbers z0_bar(zk_bar.size()), h_bar = to_host(bars.h_bar);
    Numbers gradients = to_host(bars.gradients);
    posterior_->pullback(*tape.tape, tape.rows(rows),
                         {zk_bar, log_det_bar, z0_bar, h_bar, gradients}, statistics);
    to_device(z0_bar, bars.z0_bar);
    to_device(h_bar, bars.h_bar);
    to_device(gradients, bars.gradients);
  }

 private:
  using Numbers = std::vector<Real>;

  struct Tape : PosteriorTape {
    Numbers z0, h;
    mutable Numbers zk, log_det;  // a pullback reads them
    std::unique_ptr<PosteriorTape> tape;

    PosteriorRows<Real> rows(const PosteriorRows<Real>& of) const {
      return {of.batch, of.copies, z0, h, zk, log_det};
    }
  };

  Numbers to_host(std::span<const Real> values) {
    if (values.empty()) return {};
    RowValues<Real> crossing = RowValues<Real>::zeros(memory_, values.size());
    copy(values, crossing.on_device());
    return crossing.read();
  }
  void to_device(const Numbers& values, std::span<Real> target) {
    if (!values.empty()) copy(RowValues<Real>(memory_, values).read_on_device(), target);
  }
  void copy(std::span<const Real> from, std::span<Real> to) {
    memory_.copy_columns(1, from.size(), {from, from.size(), 0}, {to, to.size(), 0});
  }

  DeviceMemory<Real>& memory_;
  const std::span<const Real> on_device_;
  const std::unique_ptr<FlowDevice<Real>> host_;
  Numbers parameters_;  // of the whole model, on the host
  const std::unique_ptr<Posterior<Real>> posterior_;
};

}  // namespace ffjord
