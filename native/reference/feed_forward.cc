#include "reference/feed_forward.h"

#include <algorithm>
#include <vector>

#include "reference/activation.h"
#include "reference/linear_map.h"

namespace ffjord::reference {
namespace {

/// What a layer saw of one row: a → z = W a + b, g = G a + c, y = σ(z) s(g).
struct LayerState {
  Vector a, z, g;
};
using RowState = std::vector<LayerState>;

struct Tape : FeedForwardTape {
  std::vector<RowState> rows;
};

class ReferenceFeedForward : public FeedForward<double> {
 public:
  explicit ReferenceFeedForward(const FeedForwardPlace<double>& place) : place_(place) {}

  std::unique_ptr<FeedForwardTape> apply(std::size_t batch, View x, Target y,
                                         bool keep_tape) override {
    const std::size_t in = plan().size_in(), out = plan().size_out();
    auto tape = std::make_unique<Tape>();
    for (std::size_t row = 0; row < batch; ++row) {
      RowState state;
      const Vector end = apply_row(x.subspan(row * in, in), state);
      std::copy(end.begin(), end.end(), y.begin() + row * out);
      if (keep_tape) tape->rows.push_back(std::move(state));
    }
    if (!keep_tape) return nullptr;
    return tape;
  }

  void pullback(const FeedForwardTape& any_tape, const FeedForwardBars<double>& bars) override {
    const auto& tape = dynamic_cast<const Tape&>(any_tape);
    const std::size_t in = plan().size_in(), out = plan().size_out();
    for (std::size_t row = 0; row < bars.batch; ++row) {
      const View y_bar = bars.y_bar.subspan(row * out, out);
      Vector bar(y_bar.begin(), y_bar.end());
      for (std::size_t l = plan().layers.size(); l-- > 0;)
        bar = pull_back(plan().layers[l], tape.rows[row][l], bar, bars.gradients);
      if (!bars.x_bar.empty()) add_scaled(1, bar, bars.x_bar.subspan(row * in, in));
    }
  }

 private:
  const FeedForwardPlan& plan() const { return place_.plan; }

  Vector apply_row(View x, RowState& state) const {
    Vector a(x.begin(), x.end());
    for (const FeedForwardLayer& layer : plan().layers) {
      LayerState at;
      at.a = std::move(a);
      at.z = affine(layer.map, layer.weight, layer.bias, at.a);
      if (layer.gated) at.g = affine(layer.map, layer.gate_weight, layer.gate_bias, at.a);
      a.resize(at.z.size());
      for (std::size_t i = 0; i < a.size(); ++i)
        a[i] = activate(layer.activation, at.z[i], 1) * (layer.gated ? sigmoid(at.g[i]) : 1);
      state.push_back(std::move(at));
    }
    return a;
  }

  /// W a + b, a number of b for every channel.
  Vector affine(const LinearMap& map, std::size_t weight, std::size_t bias, View a) const {
    Vector z(map.size_out());
    reference::apply(map, place_.parameters.subspan(weight, map.weight_count()), a, z);
    const std::size_t plane = z.size() / std::size_t(map.channels_out);
    for (std::size_t i = 0; i < z.size(); ++i) z[i] += place_.parameters[bias + i / plane];
    return z;
  }

  /// ȳ → ā; adds to the gradients.
  Vector pull_back(const FeedForwardLayer& layer, const LayerState& at, View y_bar,
                   Target gradients) const {
    Vector z_bar(y_bar.begin(), y_bar.end()), g_bar(layer.gated ? y_bar.size() : 0);
    for (std::size_t i = 0; i < z_bar.size(); ++i) {
      const double gate = layer.gated ? sigmoid(at.g[i]) : 1;
      if (layer.gated)
        g_bar[i] = y_bar[i] * activate(layer.activation, at.z[i], 1) * gate * (1 - gate);
      z_bar[i] *= slope(layer.activation, at.z[i], 1) * gate;
    }
    Vector a_bar(at.a.size());
    pull_back_affine(layer.map, layer.weight, layer.bias, at.a, z_bar, gradients, a_bar);
    if (layer.gated)
      pull_back_affine(layer.map, layer.gate_weight, layer.gate_bias, at.a, g_bar, gradients,
                       a_bar);
    return a_bar;
  }

  void pull_back_affine(const LinearMap& map, std::size_t weight, std::size_t bias, View a,
                        View z_bar, Target gradients, Target a_bar) const {
    Vector added(a_bar.size());
    apply_transpose(map, place_.parameters.subspan(weight, map.weight_count()), z_bar, added);
    add_scaled(1, added, a_bar);
    if (gradients.empty()) return;
    add_weight_gradient(map, z_bar, a, gradients.subspan(weight, map.weight_count()));
    const std::size_t plane = z_bar.size() / std::size_t(map.channels_out);
    for (std::size_t i = 0; i < z_bar.size(); ++i) gradients[bias + i / plane] += z_bar[i];
  }

  const FeedForwardPlace<double> place_;
};

}  // namespace

std::unique_ptr<FeedForward<double>> make_feed_forward(const FeedForwardPlace<double>& place) {
  return std::make_unique<ReferenceFeedForward>(place);
}

}  // namespace ffjord::reference
