// Scratch memory of an evaluation, and the sums of weight gradients. Included inside the namespace
// of one instruction set.

/// What an evaluation computes beside f.
enum class Form { Values, Tangents, Closed };

struct Evaluation {
  Form form = Form::Values;
  int tangents = 0;   ///< a row
  bool unit = false;  ///< the tangents are e_1 … e_D
  bool jacobian = false, kinetic = false;
};

struct TileActivations final : Activations {
  TracePlan trace;
  Regularisers regularisers;

  Evaluation evaluation;  ///< the last one's
  Columns columns;

  /// Of layer l: (a, ȧ) after l layers, (z, u) and σ'(z) behind them; entry 0 is the input.
  std::vector<AlignedFloats> outputs, preactivations, slopes;
  std::vector<AlignedFloats> closed_tangents, closed_cotangents;  ///< of hidden layers 1, 2
  AlignedFloats closed_product;                                   ///< M d₁
  AlignedFloats cotangents[2];
  AlignedFloats sums, gate_sums;  ///< [feature][kLanes]
  AlignedFloats summed;           ///< both, over lanes
  /// The array after l layers: of a tape one each; else two take turns, to stay in the first cache.
  AlignedFloats& output(int l, bool keep) { return outputs[keep || l < 2 ? l : 1 + (l - 1) % 2]; }

  AlignedFloats transposed;  ///< a block of aᵀ
  AlignedFloats matrix;      ///< M̄ or P of one tile
};

inline void reserve(AlignedFloats& memory, std::size_t floats) {
  if (memory.size() < floats) memory.resize(floats, 0.f);
}

struct LayerGradient {
  AlignedFloats weight;  ///< (out, padded depth) or (depth, padded out); of hyper unused
  std::vector<float> bias, shift, gate_weight, gate_bias;  ///< (out)
  float beta = 0;
  std::vector<float> hyper0_weight, hyper0_bias, hyper2_weight, hyper2_bias;
};

struct NetGradient final : GradientSlot {
  std::vector<LayerGradient> layers;
  AlignedFloats m_bar;  ///< closed-form trace, two hidden layers, ungated: M̄ (H₂, padded H₁)

  NetGradient(const std::vector<Layer>& net, bool keeps_m_bar) : layers(net.size()) {
    for (std::size_t l = 0; l < net.size(); ++l) {
      const Layer& layer = net[l];
      LayerGradient& gradient = layers[l];
      for (auto* vector :
           {&gradient.bias, &gradient.shift, &gradient.gate_weight, &gradient.gate_bias})
        vector->resize(layer.out);
      if (layer.hyper()) {
        const std::size_t outputs = std::size_t(layer.out) * layer.in + layer.out;
        gradient.hyper0_weight.resize(kHypernetUnits);
        gradient.hyper0_bias.resize(kHypernetUnits);
        gradient.hyper2_weight.resize(outputs * kHypernetUnits);
        gradient.hyper2_bias.resize(outputs);
      } else {
        gradient.weight.resize(std::size_t(layer.sums_transposed() ? layer.depth() : layer.out) *
                               layer.sums_stride());
      }
    }
    if (keeps_m_bar) m_bar.resize(std::size_t(net[1].out) * padded_features(net[0].out));
    clear();
  }

  void clear() override {
    const auto zero = [](auto& vector) { std::fill(vector.begin(), vector.end(), 0.f); };
    for (LayerGradient& gradient : layers) {
      zero(gradient.weight);
      for (auto* vector : {&gradient.bias, &gradient.shift, &gradient.gate_weight,
                           &gradient.gate_bias, &gradient.hyper0_weight, &gradient.hyper0_bias,
                           &gradient.hyper2_weight, &gradient.hyper2_bias})
        zero(*vector);
      gradient.beta = 0;
    }
    zero(m_bar);
  }
};

/// Where the sums of each layer's W̄ lie.
template <class Weights>
std::vector<WeightSums> weight_sums(const std::vector<Layer>& net, Weights weights) {
  std::vector<WeightSums> sums;
  for (std::size_t l = 0; l < net.size(); ++l) {
    const int stride = net[l].sums_stride();
    if (net[l].sums_transposed())
      sums.push_back({weights(l), 1, stride});
    else
      sums.push_back({weights(l), stride, 1});
  }
  return sums;
}
