#include "reference/bottleneck.h"

#include <utility>

namespace ffjord::reference {

Bottleneck::Bottleneck(const Network& network, const std::vector<LayerAt>& at,
                       const TracePlan& plan, const RowTape& values, const Columns& eps)
    : network_(network),
      at_(at),
      encoder_{0, static_cast<std::size_t>(plan.encoder)},
      decoder_{encoder_.end, network.depth()},
      values_(values),
      eps_(eps) {
  Columns hidden = {values.layers[decoder_.first].input.front()};
  hidden.insert(hidden.end(), eps.begin(), eps.end());
  network.push(at, std::move(hidden), decoder_tape_, decoder_);
  Columns input = decoder_tape_.output;
  input.front() = values.layers.front().input.front();
  network.push(at, std::move(input), probe_tape_, encoder_);
}

double Bottleneck::divergence() const {
  double sum = 0;
  for (std::size_t k = 0; k < eps_.size(); ++k)
    sum += weight() * dot(eps_[k], probe_tape_.output[1 + k]);
  return sum;
}

Vector Bottleneck::pull(double divergence_bar, std::vector<LayerAt>& at_bars) const {
  Columns hidden_bars = {Vector(eps_.front().size())};
  for (const Vector& eps : eps_) {
    hidden_bars.emplace_back(eps.size());
    add_scaled(weight() * divergence_bar, eps, hidden_bars.back());
  }
  Columns bars = network_.pull(at_, probe_tape_, std::move(hidden_bars), {}, at_bars, encoder_);
  Vector z_bar = std::move(bars.front());

  bars.front().assign(z_bar.size(), 0.0);  // f has none; those of the v_k follow
  bars = network_.pull(at_, decoder_tape_, std::move(bars), {}, at_bars, decoder_);
  const Columns through =
      network_.pull(at_, values_, {std::move(bars.front())}, {}, at_bars, encoder_);
  add_scaled(1, through.front(), z_bar);
  return z_bar;
}

}  // namespace ffjord::reference
