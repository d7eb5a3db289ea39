// The layers of a dense net as the kernels read them. Included inside the namespace of one
// instruction set.

/// A dense layer z = g(t) ⊙ (W(t) a + b) + s t. blend is W₀ a + (W₁ − W₀)(t a): its input is (a, t
/// a) and W holds both matrices side by side, so that it needs nothing else of its own.
struct Layer {
  LayerKind kind = LayerKind::Ignore;
  Activation activation = Activation::Identity;  ///< after it; none after the last layer
  int in = 0, out = 0;
  LayerOffsets offsets;
  const float* parameters = nullptr;  ///< flat buffer of the flow

  PackedMatrix forward, backward;  ///< W (out, depth), Wᵀ (depth, out); of hyper: in the time slot
  std::vector<float> bias, shift, gate_weight, gate_bias;  ///< zero where the kind has none; the
                                                           ///< gates' up to whole vectors
  float beta = 1;

  bool expanded() const { return kind == LayerKind::Blend; }
  bool hyper() const { return kind == LayerKind::Hyper; }
  bool gated() const { return kind == LayerKind::Squash || kind == LayerKind::ConcatSquash; }
  int depth() const { return expanded() ? 2 * in : in; }

  /// Sums of W̄ are kept as (depth, out) where that leaves less padding.
  bool sums_transposed() const { return depth() < out; }
  int sums_stride() const { return padded_features(sums_transposed() ? out : depth()); }

  /// W(out, in) in PyTorch's layout, without the time column of concat.
  const float* weight() const { return parameters + weight_offset(); }
  std::size_t weight_offset() const { return offsets.weight + (kind == LayerKind::Concat ? 1 : 0); }
  int weight_stride() const { return in + (kind == LayerKind::Concat ? 1 : 0); }

  void pack();
};

inline void Layer::pack() {
  bias.assign(out, 0.f);
  shift.assign(out, 0.f);
  gate_weight.assign(round_up(out, kLanes), 0.f);
  gate_bias.assign(round_up(out, kLanes), 0.f);
  if (offsets.beta != kAbsent) beta = parameters[offsets.beta];
  if (hyper()) return;

  const float* w = weight();
  const int stride = weight_stride();
  const float* w1 = expanded() ? parameters + offsets.weight1 : nullptr;
  const auto element = [&](int row, int k) {
    const std::size_t at = std::size_t(row) * stride + (k < in ? k : k - in);
    return k < in ? w[at] : w1[at] - w[at];
  };
  forward.pack(out, depth(), element);
  backward.pack_transposed(depth(), out, element);

  const auto copy = [&](std::size_t offset, std::vector<float>& to) {
    if (offset != kAbsent) std::copy_n(parameters + offset, out, to.begin());
  };
  copy(offsets.bias, bias);
  copy(offsets.shift, shift);
  copy(offsets.gate_weight, gate_weight);
  copy(offsets.gate_bias, gate_bias);
  for (int j = 0; j < out; ++j) {
    if (kind == LayerKind::Concat) shift[j] = w[std::size_t(j) * stride - 1];
    if (expanded()) shift[j] = parameters[offsets.bias1 + j] - bias[j];
  }
}

inline std::vector<Layer> make_layers(const BlockContext<float>& context) {
  const Net& net = context.cnf.net;
  std::vector<int> widths = {static_cast<int>(element_count(context.shape))};
  widths.insert(widths.end(), net.hidden.begin(), net.hidden.end());
  widths.push_back(widths.front());
  std::vector<Layer> layers(widths.size() - 1);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    layers[l].kind = net.layer;
    if (l + 1 < layers.size()) layers[l].activation = net.activation;
    layers[l].in = widths[l];
    layers[l].out = widths[l + 1];
    layers[l].offsets = context.offsets.layers[l];
    layers[l].parameters = context.parameters.data();
  }
  return layers;
}
