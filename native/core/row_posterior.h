// A posterior whose flow maps each row by itself, by numbers that the encoder makes of its image,
// in the memory of the host. A flow that follows in closed form: planar, Sylvester, inverse
// autoregressive.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/amortised_numbers.h"
#include "core/posterior.h"

namespace ffjord {

/// `Flow` has tape_size(), solve(numbers, z, tape) and pullback(…) of one row.
template <class Real, template <class> class Flow>
class RowPosterior : public Posterior<Real> {
 public:
  /// `device` outlives it.
  RowPosterior(const PosteriorPlace<Real>& place, FlowDevice<Real>& device, Flow<Real> flow)
      : latent_(place.plan.latent),
        flow_(std::move(flow)),
        amortised_(place.plan.maps, place.parameters, device) {}

  void parameters_changed() override { amortised_.parameters_changed(); }

  std::unique_ptr<PosteriorTape> solve(const PosteriorRows<Real>& rows, const PosteriorCall& call,
                                       SolveStatistics&) override {
    auto tape = std::make_unique<Tape>();
    tape->numbers =
        amortised_.apply(rows.batch / rows.copies, rows.h, call.keep_tape, tape->amortised);
    if (call.keep_tape) tape->rows.resize(rows.batch * flow_.tape_size());
    std::copy(rows.z0.begin(), rows.z0.end(), rows.zk.begin());
    for (std::size_t b = 0; b < rows.batch; ++b)
      rows.log_det[b] += flow_.solve(numbers(*tape, b / rows.copies),
                                     rows.zk.subspan(b * latent_, latent_), kept(*tape, b));
    return call.keep_tape ? std::move(tape) : nullptr;
  }

  void pullback(const PosteriorTape& any_tape, const PosteriorRows<Real>& rows,
                const PosteriorBars<Real>& bars, SolveStatistics&) override {
    const auto& tape = dynamic_cast<const Tape&>(any_tape);
    std::vector<Real> numbers_bar(tape.numbers.size());
    std::copy(bars.zk_bar.begin(), bars.zk_bar.end(), bars.z0_bar.begin());
    for (std::size_t b = 0; b < rows.batch; ++b)
      flow_.pullback(numbers(tape, b), kept(tape, b), bars.log_det_bar[b],
                     bars.z0_bar.subspan(b * latent_, latent_),
                     std::span(numbers_bar).subspan(b * amortised_.size(), amortised_.size()),
                     bars.gradients);
    amortised_.pullback(tape.amortised, rows.batch, rows.h, numbers_bar, bars.h_bar,
                        bars.gradients);
  }

 private:
  struct Tape : PosteriorTape {
    typename AmortisedNumbers<Real>::Tape amortised;
    std::vector<Real> numbers;  // (images, A)
    std::vector<Real> rows;     // what the flow keeps of each row; empty: nothing
  };

  std::span<const Real> numbers(const Tape& tape, std::size_t image) const {
    return std::span(tape.numbers).subspan(image * amortised_.size(), amortised_.size());
  }
  template <class AnyTape>
  auto kept(AnyTape& tape, std::size_t row) const {
    auto all = std::span(tape.rows);
    return all.empty() ? all : all.subspan(row * flow_.tape_size(), flow_.tape_size());
  }

  const std::size_t latent_;
  const Flow<Real> flow_;
  AmortisedNumbers<Real> amortised_;
};

}  // namespace ffjord
