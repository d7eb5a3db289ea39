// A feed-forward net on a tile of images: values through its layers, and cotangents back.
//
// A product writes the units of a pixel, z and g side by side, and behind it, while they are in the
// first cache, the activation makes σ(z) and s(g) of them in their places and y = σ(z) s(g) in the
// image that the next layer reads. In reverse a product with Wᵀ writes ȳ, and behind it ȳ becomes
// the cotangents of z and g.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "cpu/activations.h"
#include "cpu/feed_forward_layer.h"
#include "cpu/feed_forward_tile.h"
#include "cpu/image_rows.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// What an application leaves of each layer.
struct LayerActivations {
  AlignedFloats input;   ///< image of a, which the layer reads
  AlignedFloats units;   ///< image of σ(z) and s(g), of a gated layer
  AlignedFloats slopes;  ///< σ'(z), [pixel][channel][panel][2][kLanes], unless σ is the identity
  AlignedFloats output;  ///< image of y, where the next layer does not read it in this shape
};
struct NetActivations : FeedForwardActivations {
  std::vector<LayerActivations> layers;
  AlignedFloats products;
};

struct LayerSums {
  std::size_t weights = 0, biases = 0;  ///< where its sums begin
  AlignedFloats bars;                   ///< image of the cotangents of z and g
  AlignedFloats output;                 ///< image of ȳ, where it is not `bars` in place
  AlignedFloats input;                  ///< image of ā, where the layer in front has another shape
};
struct NetSums : FeedForwardSums {
  void clear() override { std::fill(sums.begin(), sums.end(), 0.f); }
  std::span<float> values() override { return sums; }

  std::vector<LayerSums> layers;
  AlignedFloats sums;  ///< W̄ of each layer, then Σ of the bars of its units, a vector each
  AlignedFloats scratch;
};

class ImageNet : public FeedForwardTile {
 public:
  explicit ImageNet(const FeedForwardPlace<float>& place) : parameters_(place.parameters) {
    ImageShape shape;
    for (const FeedForwardLayer& plan : place.plan.layers) {
      const ImageShape first = plan.map.is_dense
                                   ? ImageShape{int(plan.map.size_in()), Plane{}}
                                   : ImageShape{plan.map.channels_in, plan.map.plane_in};
      layers_.emplace_back(plan, layers_.empty() ? first : shape);
      shape = layers_.back().out();
    }
  }

  std::size_t rows() const override { return std::size_t(kPanels) * kFeatureStride; }
  void pack(std::size_t layer) override { layers_[layer].pack(parameters_); }
  void pack_transposed(std::size_t layer) override { layers_[layer].pack_transposed(parameters_); }

  std::unique_ptr<FeedForwardActivations> make_activations() const override {
    auto memory = std::make_unique<NetActivations>();
    memory->layers.resize(layers_.size());
    for (const ImageLayer& layer : layers_) reserve(memory->products, layer.forward_scratch());
    return memory;
  }
  std::unique_ptr<FeedForwardSums> make_sums() const override {
    auto sums = std::make_unique<NetSums>();
    std::size_t size = 0;
    for (const ImageLayer& layer : layers_) {
      LayerSums at;
      at.weights = size;
      size += (layer.sums_size() + kLanes - 1) / kLanes * kLanes;
      at.biases = size;
      size += std::size_t(layer.units()) * kLanes;
      reserve(sums->scratch, layer.backward_scratch());
      sums->layers.push_back(std::move(at));
    }
    sums->sums.assign(size, 0.f);
    return sums;
  }

  void apply(const FeedForwardRows& rows, FeedForwardActivations& activations,
             bool keep) const override {
    auto& memory = static_cast<NetActivations&>(activations);
    load_rows(rows.from, rows.count, layers_.front().in().channels, input(memory, 0), kPanels);
    for (int l = 0; l < count(); ++l) {
      with_activation(layers_[l].plan().activation,
                      [&]<class A>(A) { run_layer<A>(l, memory, keep); });
      if (l + 1 < count() && !joined(l))
        reshape_images(output(memory, l), layers_[l].channels(), input(memory, l + 1),
                       layers_[l + 1].in().channels, kPanels);
    }
    store_rows<false>(output(memory, count() - 1), kPanels, layers_.back().channels(), rows.to,
                      rows.count);
  }

  void pull_back(const FeedForwardRows& bars, FeedForwardActivations& activations,
                 FeedForwardSums& any_sums) const override {
    auto& memory = static_cast<NetActivations&>(activations);
    auto& sums = static_cast<NetSums&>(any_sums);
    const int last = count() - 1;
    load_rows(bars.from, bars.count, layers_[last].channels(), output_bar(sums, last), kPanels);
    pull_all_pixels(last, memory, sums);
    for (int l = last; l >= 0; --l) {
      const ImageLayer& layer = layers_[l];
      const Images above = unit_bars(sums, l);
      float* const scratch = sums.scratch.data();
      if (l == 0) {
        if (!bars.to) break;
        const Images below = input_bar(sums, 0);
        convolve(layer.backward(), above, below, kPanels, scratch, [](int, int, int, int) {});
        store_rows<true>(below, kPanels, layer.in().channels, bars.to, bars.count);
      } else if (joined(l - 1)) {
        with_activation(layers_[l - 1].plan().activation, [&]<class A>(A) {
          const PixelPull<A> pull = pixel_pull<A>(l - 1, memory, sums);
          convolve(layer.backward(), above, output_bar(sums, l - 1), kPanels, scratch,
                   [&](int y, int x, int first, int end) { pull(y, x, first, end); });
        });
      } else {
        const Images below = input_bar(sums, l);
        convolve(layer.backward(), above, below, kPanels, scratch, [](int, int, int, int) {});
        reshape_images(below, layer.in().channels, output_bar(sums, l - 1),
                       layers_[l - 1].channels(), kPanels);
        pull_all_pixels(l - 1, memory, sums);
      }
    }
  }

  std::size_t weight_scratch() const override {
    std::size_t most = 0;
    for (const ImageLayer& layer : layers_) most = std::max(most, layer.gradient_scratch());
    return most;
  }
  void add_weights(std::size_t l, std::size_t count, FeedForwardActivations& activations,
                   FeedForwardSums& any_sums, float* scratch) const override {
    auto& sums = static_cast<NetSums&>(any_sums);
    const int layer = static_cast<int>(l);
    layers_[l].accumulate(input(static_cast<NetActivations&>(activations), layer),
                          unit_bars(sums, layer), static_cast<int>(count),
                          sums.sums.data() + sums.layers[l].weights, scratch);
  }
  void finish(FeedForwardSums& any_sums) const override {
    auto& sums = static_cast<NetSums&>(any_sums);
    for (std::size_t l = 0; l < layers_.size(); ++l)
      for (int unit = 0; unit < layers_[l].units(); ++unit) {
        float* const lanes = sums.sums.data() + sums.layers[l].biases + std::size_t(unit) * kLanes;
        const float sum = sum_of_lanes(load(lanes));
        std::fill_n(lanes, kLanes, 0.f);
        *lanes = sum;
      }
  }

  void add_gradients(std::size_t l, FeedForwardSums& any_sums,
                     std::span<float> gradients) const override {
    auto& sums = static_cast<NetSums&>(any_sums);
    const ImageLayer& layer = layers_[l];
    std::vector<float> biases;
    for (int unit = 0; unit < layer.units(); ++unit)
      biases.push_back(sum_of_lanes(
          load(sums.sums.data() + sums.layers[l].biases + std::size_t(unit) * kLanes)));
    layer.add_gradients(sums.sums.data() + sums.layers[l].weights, biases.data(), gradients);
  }

 private:
  static constexpr int kPanels = 1;  // of a tile: 2 kLanes rows

  int count() const { return static_cast<int>(layers_.size()); }
  /// Whether layer l + 1 reads what layer l writes as it lies.
  bool joined(int l) const { return l + 1 < count() && layers_[l + 1].in() == layers_[l].out(); }

  static Images images(AlignedFloats& memory, const ImageShape& shape, const Margins& margins) {
    const ImageLayout layout{shape.plane, stored_channels(shape.channels), margins};
    reserve(memory, layout.floats(kPanels));
    return {memory.data(), layout};
  }
  Images input(NetActivations& memory, int l) const {
    return images(memory.layers[l].input, layers_[l].in(), layers_[l].forward().margins());
  }
  Images output(NetActivations& memory, int l) const {
    if (joined(l)) return input(memory, l + 1);
    return images(memory.layers[l].output, layers_[l].out(), {});
  }
  Images units(NetActivations& memory, int l) const {
    return images(memory.layers[l].units, {layers_[l].units(), layers_[l].out().plane}, {});
  }
  Images unit_bars(NetSums& sums, int l) const {
    return images(sums.layers[l].bars, {layers_[l].units(), layers_[l].out().plane},
                  layers_[l].bar_margins());
  }
  Images output_bar(NetSums& sums, int l) const {
    if (!layers_[l].gated()) return unit_bars(sums, l);
    return images(sums.layers[l].output, layers_[l].out(), {});
  }
  Images input_bar(NetSums& sums, int l) const {
    return images(sums.layers[l].input, layers_[l].in(), {});
  }
  /// σ'(z) of a pixel's channels.
  template <class A>
  float* slopes(NetActivations& memory, int l) const {
    if constexpr (kIsIdentity<A>) return nullptr;
    const ImageShape out = layers_[l].out();
    reserve(memory.layers[l].slopes, out.size() * kPanels * kFeatureStride);
    return memory.layers[l].slopes.data();
  }
  template <class A>
  static constexpr bool kIsIdentity = std::is_same_v<A, IdentityActivation>;

  template <class A>
  void run_layer(int l, NetActivations& memory, bool keep) const {
    const ImageLayer& layer = layers_[l];
    const Images in = input(memory, l), out = output(memory, l);
    const Images products = layer.gated() ? units(memory, l) : out;
    float* const all_slopes = keep ? slopes<A>(memory, l) : nullptr;
    const float* const bias = layer.bias().data();
    const int width = layer.out().plane.width, channels = layer.channels();
    convolve(layer.forward(), in, products, kPanels, memory.products.data(),
             [&](int y, int x, int first, int end) {
               const Panels unit = products.pixel(y, x), value = out.pixel(y, x);
               const std::size_t pixel = std::size_t(y) * width + x;
               for (int panel = 0; panel < kPanels; ++panel)
                 for (int half = 0; half < kFeatureStride; half += kLanes) {
                   float* const z = unit.data + panel * unit.stride + half;
                   float* const a = value.data + panel * value.stride + half;
                   float* const slope_of =
                       all_slopes ? all_slopes +
                                        (pixel * kPanels + panel) * channels * kFeatureStride + half
                                  : nullptr;
                   if (layer.gated())
                     gate_channels<A>(first / 2, end / 2, bias, z, a, slope_of);
                   else
                     activate_channels<A>(first, end, bias, a, slope_of);
                 }
             });
  }

  template <class A>
  static void gate_channels(int first, int end, const float* bias, float* units, float* out,
                            float* slopes) {
    for (int j = first; j < end; ++j) {
      float* const z = units + std::size_t(2 * j) * kFeatureStride;
      float* const g = z + kFeatureStride;
      Vec a, slope;
      A::evaluate(load(z) + splat(bias[2 * j]), splat(1.f), a, slope);
      const Vec gate = sigmoid(load(g) + splat(bias[2 * j + 1]));
      store(z, a);
      store(g, gate);
      store(out + std::size_t(j) * kFeatureStride, a * gate);
      if (slopes) store(slopes + std::size_t(j) * kFeatureStride, slope);
    }
  }
  template <class A>
  static void activate_channels(int first, int end, const float* bias, float* out, float* slopes) {
    for (int j = first; j < end; ++j) {
      float* const z = out + std::size_t(j) * kFeatureStride;
      Vec a, slope;
      A::evaluate(load(z) + splat(bias[j]), splat(1.f), a, slope);
      store(z, a);
      if (slopes) store(slopes + std::size_t(j) * kFeatureStride, slope);
    }
  }

  /// ȳ of channels [first, end) of a pixel → the cotangents of their units, and Σ of those.
  template <class A>
  struct PixelPull {
    const ImageLayer& layer;
    Images y_bar, bars, units;  // units: of a gated layer
    const float* slopes;        // null: 1
    float* sums;                // [unit][kLanes]

    void operator()(int y, int x, int first, int end) const {
      const int channels = layer.channels();
      const std::size_t pixel = std::size_t(y) * layer.out().plane.width + x;
      const Panels from = y_bar.pixel(y, x), to = bars.pixel(y, x);
      const Panels unit = layer.gated() ? units.pixel(y, x) : Panels{};
      for (int panel = 0; panel < kPanels; ++panel)
        for (int j = first; j < end; ++j) {
          Vec z_sum = {}, g_sum = {};
          for (int half = 0; half < kFeatureStride; half += kLanes) {
            const std::size_t at = std::size_t(j) * kFeatureStride + half;
            Vec bar = load(from.data + panel * from.stride + at);
            Vec slope = splat(1.f);
            if constexpr (!kIsIdentity<A>)
              slope = load(slopes + (pixel * kPanels + panel) * channels * kFeatureStride + at);
            if (!layer.gated()) {
              bar = bar * slope;
              store(to.data + panel * to.stride + at, bar);
              z_sum = z_sum + bar;
              continue;
            }
            const std::size_t pair = std::size_t(2 * j) * kFeatureStride + half;
            const float* const kept = unit.data + panel * unit.stride + pair;
            float* const pair_bar = to.data + panel * to.stride + pair;
            const Vec a = load(kept), gate = load(kept + kFeatureStride);
            const Vec gated = bar * gate, z_bar = gated * slope;
            const Vec g_bar = gated * a * (splat(1.f) - gate);
            store(pair_bar, z_bar);
            store(pair_bar + kFeatureStride, g_bar);
            z_sum = z_sum + z_bar;
            g_sum = g_sum + g_bar;
          }
          float* const sum = sums + std::size_t(layer.gated() ? 2 * j : j) * kLanes;
          store(sum, load(sum) + z_sum);
          if (layer.gated()) store(sum + kLanes, load(sum + kLanes) + g_sum);
        }
    }
  };

  template <class A>
  PixelPull<A> pixel_pull(int l, NetActivations& memory, NetSums& sums) const {
    return {layers_[l],           output_bar(sums, l),
            unit_bars(sums, l),   layers_[l].gated() ? units(memory, l) : Images{},
            slopes<A>(memory, l), sums.sums.data() + sums.layers[l].biases};
  }
  void pull_all_pixels(int l, NetActivations& memory, NetSums& sums) const {
    with_activation(layers_[l].plan().activation, [&]<class A>(A) {
      const PixelPull<A> pull = pixel_pull<A>(l, memory, sums);
      const ImageShape out = layers_[l].out();
      for (int y = 0; y < out.plane.height; ++y)
        for (int x = 0; x < out.plane.width; ++x) pull(y, x, 0, out.channels);
    });
  }

  const std::span<const float> parameters_;
  std::vector<ImageLayer> layers_;
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
