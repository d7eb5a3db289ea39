#include <utility>
#include <vector>

#include "cuda/device/grid.h"
#include "cuda/device/memory.h"
#include "cuda/flow/feed_forward.h"
#include "cuda/net/activations.h"
#include "cuda/net/image_products.h"

namespace ffjord::cuda {
namespace {

// z and g (null without a gate) of a layer's outputs.
struct Gates {
  std::size_t size = 0;
  Activation activation = Activation::Identity;
  const float *z = nullptr, *g = nullptr;
};

// y = σ(z) s(g). One thread an entry: 12 bytes, 8 without a gate.
__global__ void apply_gates(Gates s, float* y) {
  const std::size_t at = flat_index();
  if (at >= s.size) return;
  const float a = activate(s.activation, s.z[at], 1.f).a;
  y[at] = s.g ? a * sigmoid(s.g[at]) : a;
}

// ȳ → z̄ and ḡ. As apply_gates.
__global__ void pull_gates(Gates s, const float* y_bar, float* z_bar, float* g_bar) {
  const std::size_t at = flat_index();
  if (at >= s.size) return;
  const Activated activated = activate(s.activation, s.z[at], 1.f);
  const float gate = s.g ? sigmoid(s.g[at]) : 1.f, bar = y_bar[at] * gate;
  z_bar[at] = bar * activated.slope;
  if (s.g) g_bar[at] = bar * activated.a * (1.f - gate);
}

struct LayerTape {
  DeviceArray<float> a, z, g;  // what it read but for the first layer, and (B, out) of both maps
};
struct Tape : FeedForwardTape {
  std::vector<LayerTape> layers;
};

class DeviceFeedForward : public FeedForward<float> {
 public:
  DeviceFeedForward(const FeedForwardPlace<float>& place, const FlowStream& stream)
      : place_(place), stream_(stream) {}

  std::unique_ptr<FeedForwardTape> apply(std::size_t batch, std::span<const float> x,
                                         std::span<float> y, bool keep_tape) override {
    stream_.enter();
    auto tape = std::make_unique<Tape>();
    DeviceArray<float> a;
    for (std::size_t l = 0; l < layers().size(); ++l) {
      const FeedForwardLayer& layer = layers()[l];
      const std::size_t size = batch * layer.size_out();
      const float* const in = l == 0 ? x.data() : a.data();
      LayerTape at;
      at.z = multiply(layer, layer.weight, layer.bias, batch, in);
      if (layer.gated) at.g = multiply(layer, layer.gate_weight, layer.gate_bias, batch, in);
      DeviceArray<float> out(l + 1 < layers().size() ? size : 0, stream_);
      launch("apply_gates", apply_gates, flat_shape(size), stream_, gates(layer, size, at),
             out.empty() ? y.data() : out.data());
      at.a = std::exchange(a, std::move(out));
      if (keep_tape) tape->layers.push_back(std::move(at));
    }
    if (!keep_tape) return nullptr;
    return tape;
  }

  void pullback(const FeedForwardTape& any_tape, const FeedForwardBars<float>& bars) override {
    stream_.enter();
    const auto& tape = dynamic_cast<const Tape&>(any_tape);
    DeviceArray<float> bar;
    for (std::size_t l = layers().size(); l-- > 0;) {
      const FeedForwardLayer& layer = layers()[l];
      const LayerTape& at = tape.layers[l];
      const std::size_t size = bars.batch * layer.size_out();
      const float* const y_bar = bar.empty() ? bars.y_bar.data() : bar.data();
      DeviceArray<float> z_bar(size, stream_), g_bar(layer.gated ? size : 0, stream_);
      launch("pull_gates", pull_gates, flat_shape(size), stream_, gates(layer, size, at), y_bar,
             z_bar.data(), g_bar.data());
      const float* const a = l == 0 ? bars.x.data() : at.a.data();
      add_gradients(layer, layer.weight, layer.bias, bars, a, z_bar);
      if (layer.gated) add_gradients(layer, layer.gate_weight, layer.gate_bias, bars, a, g_bar);
      if (l == 0 && bars.x_bar.empty()) break;
      DeviceArray<float> a_bar(l == 0 ? 0 : bars.batch * layer.size_in(), stream_);
      float* const to = l == 0 ? bars.x_bar.data() : a_bar.data();
      pull_back(layer, layer.weight, bars.batch, z_bar, to, l == 0);
      if (layer.gated) pull_back(layer, layer.gate_weight, bars.batch, g_bar, to, true);
      bar = std::move(a_bar);
    }
  }

 private:
  const std::vector<FeedForwardLayer>& layers() const { return place_.plan.layers; }
  const float* weights(std::size_t offset) const { return place_.parameters.data() + offset; }

  static Gates gates(const FeedForwardLayer& layer, std::size_t size, const LayerTape& at) {
    return {size, layer.activation, at.z.data(), layer.gated ? at.g.data() : nullptr};
  }

  DeviceArray<float> multiply(const FeedForwardLayer& layer, std::size_t weight, std::size_t bias,
                              std::size_t batch, const float* in) const {
    DeviceArray<float> out(batch * layer.size_out(), stream_);
    multiply_images({layer.map, int(batch), weights(weight), weights(bias), in, out.data(), false},
                    stream_);
    return out;
  }
  void pull_back(const FeedForwardLayer& layer, std::size_t weight, std::size_t batch,
                 const DeviceArray<float>& bar, float* to, bool adds) const {
    multiply_images_transposed(
        {layer.map, int(batch), weights(weight), nullptr, bar.data(), to, adds}, stream_);
  }
  void add_gradients(const FeedForwardLayer& layer, std::size_t weight, std::size_t bias,
                     const FeedForwardBars<float>& bars, const float* a,
                     const DeviceArray<float>& bar) const {
    if (bars.gradients.empty()) return;
    float* const gradients = bars.gradients.data();
    add_image_gradients(layer.map, int(bars.batch), a, bar.data(), gradients + weight,
                        gradients + bias, stream_);
  }

  const FeedForwardPlace<float> place_;
  const FlowStream& stream_;
};

}  // namespace

std::unique_ptr<FeedForward<float>> make_feed_forward(const FeedForwardPlace<float>& place,
                                                      const FlowStream& stream) {
  return std::make_unique<DeviceFeedForward>(place, stream);
}

}  // namespace ffjord::cuda
