// Reverse over dual on a tile: Net::pullback. Seeds z̄ = f̄, ū = ε div̄; per layer W̄ += z̄ aᵀ + ū ȧᵀ,
// (ā, ǡ) = Wᵀ(z̄, ū), z̄ = σ' ā + σ''u ǡ, ū = σ' ǡ. Included inside the namespace of one instruction set.

using BackwardKernel = Vec (*)(const BackwardArguments&);

template <class A>
BackwardKernel backward_kernel(int tangents, bool gated) {
  if (tangents == 0) return gated ? backward_layer<A, 0, true> : backward_layer<A, 0, false>;
  if (tangents == 1) return gated ? backward_layer<A, 1, true> : backward_layer<A, 1, false>;
  if (tangents == 2) return gated ? backward_layer<A, 2, true> : backward_layer<A, 2, false>;
  return gated ? backward_layer<A, kAnyTangents, true> : backward_layer<A, kAnyTangents, false>;
}

inline BackwardKernel backward_kernel(Activation activation, int tangents, bool gated) {
  switch (activation) {
    case Activation::Tanh: return backward_kernel<TanhActivation>(tangents, gated);
    case Activation::Softplus: return backward_kernel<SoftplusActivation>(tangents, gated);
    case Activation::Elu: return backward_kernel<EluActivation>(tangents, gated);
    case Activation::Relu: return backward_kernel<ReluActivation>(tangents, gated);
    case Activation::Swish: return backward_kernel<SwishActivation>(tangents, gated);
    case Activation::Square: return backward_kernel<SquareActivation>(tangents, gated);
    case Activation::Identity: break;
  }
  return backward_kernel<IdentityActivation>(tangents, gated);
}

/// Fills the seeds, and begins z̄ with what reaches z past the net.
inline void Net::load_seeds(Reverse& reverse, const Panels& seeds) const {
  const TileCotangents& arrays = reverse.arrays;
  TileActivations& memory = reverse.memory;
  const Evaluation& evaluation = memory.evaluation;
  const Columns& columns = memory.columns;
  const std::size_t rows = this->rows();
  const Panels input = panels(memory.outputs[0], columns, features_at(0));
  const Panels output = panels(memory.outputs[layer_count()], columns, dimension_);
  const float weight = evaluation.unit ? 1.f : 1.f / std::max(evaluation.tangents, 1);
  for (int g = 0; g < groups_; ++g) {
    const std::size_t row = std::size_t(g) * kLanes;
    const int column = g * columns.channels;
    Vec divergence_bar = {}, kinetic_bar = {}, jacobian_bar = {};
    if (arrays.divergence) divergence_bar = load(arrays.divergence + row) * splat(weight);
    if (arrays.regularisers) {
      const float* regulariser = arrays.regularisers;
      if (evaluation.kinetic) {
        kinetic_bar = load(regulariser + row) * splat(1.f / dimension_);
        regulariser += rows;
      }
      if (evaluation.jacobian)
        jacobian_bar = load(regulariser + row) * splat(2 * weight / dimension_);
    }
    for (int i = 0; i < dimension_; ++i) {
      Vec f_bar = load(arrays.f + i * rows + row);
      if (evaluation.kinetic) {
        Vec f = load(output.column(column) + i * kFeatureStride);
        if (residual_) f = f - load(input.column(column) + i * kFeatureStride);
        f_bar = fma(kinetic_bar, f, f_bar);
      }
      store(seeds.column(column) + i * kFeatureStride, f_bar);
      store(arrays.z + i * rows + row, residual_ ? -f_bar : Vec{});
      for (int k = 0; k < evaluation.tangents; ++k) {
        Vec eps = splat(i == k ? 1.f : 0.f);
        if (!evaluation.unit)
          eps = load(arrays.eps + (std::size_t(k) * dimension_ + i) * rows + row);
        Vec u_bar = eps * divergence_bar;
        if (evaluation.jacobian) {
          Vec tangent = load(output.column(column + k + 1) + i * kFeatureStride);
          if (residual_) tangent = tangent - eps;
          u_bar = fma(jacobian_bar, tangent, u_bar);
        }
        store(seeds.column(column + k + 1) + i * kFeatureStride, u_bar);
      }
    }
  }
}

/// d̄₂ = v M d₁, d̄₁ = v Mᵀd₂, or d̄₁ = v c, with v = div̄; then M̄ = Σ v d₂ d₁ᵀ, c̄ = Σ v d₁ into
/// memory.matrix.
inline void Net::prepare_closed(Reverse& reverse) const {
  TileActivations& memory = reverse.memory;
  const ClosedTrace& closed = closed_trace(reverse.time);
  const Columns& columns = memory.columns;
  const float* divergence_bar = reverse.arrays.divergence;
  const auto v = [&](int g) {
    return divergence_bar ? load(divergence_bar + std::size_t(g) * kLanes) : Vec{};
  };
  const Layer& first = layers_[0];
  const Panels d1 = panels(memory.closed_tangents[0], columns, features_at(1));
  const Panels d1_bar = panels(memory.closed_cotangents[0], columns, features_at(1));
  if (layer_count() == 2) {
    memory.matrix.assign(first.out, 0.f);
    for (int j = 0; j < first.out; ++j) {
      Vec c_bar = {};
      for (int g = 0; g < groups_; ++g) {
        const std::size_t at = d1.offset(g) + std::size_t(j) * kFeatureStride;
        c_bar = fma(v(g), load(d1.data + at), c_bar);
        store(d1_bar.data + at, v(g) * splat(closed.c[j]));
      }
      memory.matrix[j] = sum_of_lanes(c_bar);
    }
    return;
  }
  const Layer& middle = layers_[1];
  const Panels d2 = panels(memory.closed_tangents[1], columns, features_at(2));
  const Panels d2_bar = panels(memory.closed_cotangents[1], columns, features_at(2));
  const Panels product = panels(memory.closed_product, columns, features_at(2));
  const Panels weighted = panels(memory.cotangents[1], columns, features_at(2));  // v d₂
  for (int j = 0; j < middle.out; ++j)
    for (int g = 0; g < groups_; ++g) {
      const std::size_t at = d2.offset(g) + std::size_t(j) * kFeatureStride;
      store(d2_bar.data + at, v(g) * load(product.data + at));
      store(weighted.data + at, v(g) * load(d2.data + at));
    }
  multiply(closed.m_transposed, weighted, d1_bar, columns);
  NetGradient* gradient = reverse.gradient;
  float* m_bar = nullptr;
  if (gradient && !gradient->m_bar.empty()) {
    m_bar = gradient->m_bar.data();
  } else if (layers_.back().gated()) {
    memory.matrix.assign(std::size_t(middle.out) * padded_features(first.out), 0.f);
    m_bar = memory.matrix.data();
  }
  if (m_bar)
    accumulate_weight_gradient(weighted, middle.out, d1, first.out, columns, m_bar,
                               memory.transposed.data());
}

/// Chains M̄ or c̄ of this tile to the weights and the output's gate, where they cannot wait for others.
inline void Net::finish_closed(Reverse& reverse) const {
  const Layer& last = layers_.back();
  const bool two = layer_count() == 3;
  if (two && !last.gated()) return;
  std::vector<WeightSums> sums;
  if (reverse.gradient)
    sums = weight_sums(layers_,
                       [&](std::size_t l) { return reverse.gradient->layers[l].weight.data(); });
  const float* gate = output_gate(reverse.time);
  const ClosedTrace& closed = closed_trace(reverse.time);
  const float* matrix = reverse.memory.matrix.data();
  const std::vector<float> gate_bar =
      two ? pull_back_closed_two(layers_, closed, gate, matrix, sums)
          : pull_back_closed_one(layers_, gate, matrix, sums);
  if (!last.gated()) return;
  for (int i = 0; i < dimension_; ++i) {
    const float g = gate[std::size_t(i) * kLanes];
    const float logit_bar = g * (1 - g) * gate_bar[i];
    reverse.t_bar += double(last.gate_weight[i]) * logit_bar;
    if (!reverse.gradient) continue;
    reverse.gradient->layers.back().gate_weight[i] += reverse.time.t * logit_bar;
    reverse.gradient->layers.back().gate_bias[i] += logit_bar;
  }
}

/// Pulls cotangents back through the activation and gate of layer l, in place; with `above`, after
/// bringing them there through the layer above.
inline void Net::pull_back_activation(Reverse& reverse, int l, const Panels& cotangents,
                                      const Panels& above) const {
  TileActivations& memory = reverse.memory;
  const NetTime& time = reverse.time;
  const Layer& layer = layers_[l];
  const Columns& columns = memory.columns;
  const int features = features_at(l + 1);
  BackwardArguments arguments{
      .above = above,
      .rows = layer.out,
      .columns = columns,
      .cotangents = cotangents,
      .activations = panels(memory.outputs[l + 1], columns, features).data,
      .gate = time.vectors(time.layers[l].gate, groups_),
      .shift = time.vectors(time.layers[l].shift, groups_),
      .beta = layer.beta,
      .sums = memory.sums.data(),
      .gate_sums = memory.gate_sums.data()};
  if (above.data) arguments.matrix = &backward_matrix(time, l + 1);
  if (keeps_preactivations(layer))
    arguments.preactivations = panels(memory.preactivations[l + 1], columns, features).data;
  if (layer.activation == Activation::Softplus) arguments.slopes = memory.slopes[l + 1].data();
  if (memory.evaluation.form == Form::Closed && l + 1 < layer_count()) {
    arguments.closed_tangents = memory.closed_tangents[l].data();
    arguments.closed_cotangents = memory.closed_cotangents[l].data();
  }
  // Where every row has its own gates, pull_back_own_gates applies them.
  const bool gated = layer.gated() && !time.own;
  const Vec beta_bar =
      backward_kernel(layer.activation, columns.channels - 1, gated)(arguments);
  if (reverse.gradient) reverse.gradient->layers[l].beta += sum_of_lanes(beta_bar);
}

/// Gradients of b, gate and shift from the sums over rows that pull_back_activation left; t̄.
inline void Net::pull_back_gates(Reverse& reverse, int l) const {
  const Layer& layer = layers_[l];
  TileActivations& memory = reverse.memory;
  const float t = reverse.time.t;
  const AlignedFloats& gates = reverse.time.layers[l].gate;
  float* const sums = memory.summed.data();
  float* const gate_sums = sums + round_up(layer.out, kLanes);
  sums_of_lanes(memory.sums.data(), layer.out, sums);
  float t_bar = 0;
  for (int j = 0; j < layer.out; ++j) t_bar += layer.shift[j] * sums[j];
  if (reverse.gradient) {
    LayerGradient& gradient = reverse.gradient->layers[l];
    for (int j = 0; j < layer.out; ++j) gradient.shift[j] += t * sums[j];
    for (int j = 0; j < layer.out; ++j)
      gradient.bias[j] += gates[std::size_t(j) * kLanes] * sums[j];
  }
  if (layer.gated()) {
    sums_of_lanes(memory.gate_sums.data(), layer.out, gate_sums);
    for (int j = 0; j < layer.out; ++j) gate_sums[j] *= 1 - gates[std::size_t(j) * kLanes];
    for (int j = 0; j < layer.out; ++j) t_bar += layer.gate_weight[j] * gate_sums[j];
    if (reverse.gradient) {
      LayerGradient& gradient = reverse.gradient->layers[l];
      for (int j = 0; j < layer.out; ++j) gradient.gate_weight[j] += t * gate_sums[j];
      for (int j = 0; j < layer.out; ++j) gradient.gate_bias[j] += gate_sums[j];
    }
  }
  reverse.t_bar += t_bar;
}

/// The same where every row has its own t; also multiplies the cotangents by the gates, row by row.
inline void Net::pull_back_own_gates(Reverse& reverse, int l, const Panels& cotangents) const {
  const Layer& layer = layers_[l];
  const NetTime& time = reverse.time;
  TileActivations& memory = reverse.memory;
  const Columns& columns = memory.columns;
  const bool closed = memory.evaluation.form == Form::Closed && l + 1 < layer_count();
  const RowVectors gates = time.vectors(time.layers[l].gate, groups_);
  const RowVectors shifts = time.vectors(time.layers[l].shift, groups_);
  const RowVectors times = time.time_vectors();
  const float* preactivations = layer.gated() ? memory.preactivations[l + 1].data() : nullptr;
  for (int j = 0; j < layer.out; ++j) {
    Vec bias_bar = {}, shift_bar = {}, gate_weight_bar = {}, gate_bias_bar = {};
    for (int g = 0; g < groups_; ++g) {
      const std::size_t at = cotangents.offset(g * columns.channels) + std::size_t(j) * kFeatureStride;
      const Vec z_bar = load(cotangents.data + at), t = times.at(0, g);
      Vec t_bar = z_bar * splat(layer.shift[j]);
      const Vec gate = gates.at(j, g);
      bias_bar = fma(gate, z_bar, bias_bar);
      shift_bar = fma(t, z_bar, shift_bar);
      if (layer.gated()) {
        Vec sum = z_bar * (load(preactivations + at) - shifts.at(j, g));
        if (closed) sum = fma(load(memory.closed_cotangents[l].data() + at), gate, sum);
        store(cotangents.data + at, gate * z_bar);
        for (int k = 1; k < columns.channels; ++k) {
          const std::size_t tangent_at =
              cotangents.offset(g * columns.channels + k) + std::size_t(j) * kFeatureStride;
          const Vec u_bar = load(cotangents.data + tangent_at);
          sum = fma(u_bar, load(preactivations + tangent_at), sum);
          store(cotangents.data + tangent_at, gate * u_bar);
        }
        const Vec logit_bar = (splat(1.f) - gate) * sum;
        gate_bias_bar = gate_bias_bar + logit_bar;
        gate_weight_bar = fma(t, logit_bar, gate_weight_bar);
        t_bar = fma(splat(layer.gate_weight[j]), logit_bar, t_bar);
      }
      if (reverse.times_bar)
        for (int lane = 0; lane < kLanes; ++lane)
          reverse.times_bar[g * kLanes + lane] += t_bar[lane];
    }
    if (!reverse.gradient) continue;
    LayerGradient& gradient = reverse.gradient->layers[l];
    gradient.bias[j] += sum_of_lanes(bias_bar);
    gradient.shift[j] += sum_of_lanes(shift_bar);
    gradient.gate_weight[j] += sum_of_lanes(gate_weight_bar);
    gradient.gate_bias[j] += sum_of_lanes(gate_bias_bar);
  }
}

/// Chains P = Σ z̄ aᵀ + ū ȧᵀ and Σ z̄ of this tile to the hypernet that made W(t) and b(t).
inline void Net::pull_back_hypernet(Reverse& reverse, int l, const Panels& cotangents) const {
  const Layer& layer = layers_[l];
  TileActivations& memory = reverse.memory;
  const Panels input = panels(memory.outputs[l], memory.columns, features_at(l));
  const int stride = padded_features(layer.in);
  memory.matrix.assign(std::size_t(layer.out) * stride, 0.f);
  accumulate_weight_gradient(cotangents, layer.out, input, layer.in, memory.columns,
                             memory.matrix.data(), memory.transposed.data());
  const std::vector<float>& hidden = reverse.time.layers[l].hidden;
  const float* v = layer.parameters + layer.offsets.hyper2_weight;
  LayerGradient* gradient = reverse.gradient ? &reverse.gradient->layers[l] : nullptr;
  double hidden_bar[kHypernetUnits] = {};
  const auto chain = [&](std::size_t output, float bar) {
    for (int m = 0; m < kHypernetUnits; ++m) {
      const std::size_t at = output * kHypernetUnits + m;
      hidden_bar[m] += double(v[at]) * bar;
      if (gradient) gradient->hyper2_weight[at] += bar * hidden[m];
    }
    if (gradient) gradient->hyper2_bias[output] += bar;
  };
  for (int j = 0; j < layer.out; ++j) {
    chain(j, sum_of_lanes(load(memory.sums.data() + std::size_t(j) * kLanes)));
    for (int k = 0; k < layer.in; ++k)
      chain(layer.out + std::size_t(j) * layer.in + k, memory.matrix[std::size_t(j) * stride + k]);
  }
  for (int m = 0; m < kHypernetUnits; ++m) {
    const double logit_bar = (1 - double(hidden[m]) * hidden[m]) * hidden_bar[m];
    reverse.t_bar += layer.parameters[layer.offsets.hyper0_weight + m] * logit_bar;
    if (!gradient) continue;
    gradient->hyper0_weight[m] += static_cast<float>(reverse.time.t * logit_bar);
    gradient->hyper0_bias[m] += static_cast<float>(logit_bar);
  }
}

/// blend: the cotangents of (x, t x) become x̄ = first + t second; t̄ += x · second.
inline void Net::contract_input(Reverse& reverse, int l, const Panels& cotangents) const {
  const Layer& layer = layers_[l];
  TileActivations& memory = reverse.memory;
  const Columns& columns = memory.columns;
  const Panels input = panels(memory.outputs[l], columns, features_at(l));
  const RowVectors times = reverse.time.time_vectors();
  for (int n = 0; n < columns.count(); ++n) {
    const int g = n / columns.channels;
    const float* x = input.column(n);
    float* bar = cotangents.column(n);
    const Vec t = times.at(0, g);
    Vec t_bar = {};
    for (int i = 0; i < layer.in; ++i) {
      const std::size_t first = std::size_t(i) * kFeatureStride;
      const Vec second_bar = load(bar + first + std::size_t(layer.in) * kFeatureStride);
      store(bar + first, fma(t, second_bar, load(bar + first)));
      t_bar = fma(load(x + first), second_bar, t_bar);
    }
    if (!reverse.time.own) reverse.t_bar += sum_of_lanes(t_bar);
    if (reverse.time.own && reverse.times_bar)
      for (int lane = 0; lane < kLanes; ++lane)
        reverse.times_bar[g * kLanes + lane] += t_bar[lane];
  }
}

/// What is left of layer l once its cotangents are complete: gradients, and t̄.
inline void Net::finish_layer(Reverse& reverse, int l, const Panels& cotangents) const {
  const Layer& layer = layers_[l];
  TileActivations& memory = reverse.memory;
  if (reverse.time.own)
    pull_back_own_gates(reverse, l, cotangents);
  else
    pull_back_gates(reverse, l);
  if (layer.hyper()) {
    pull_back_hypernet(reverse, l, cotangents);
  } else if (reverse.gradient) {
    const Panels input = panels(memory.outputs[l], memory.columns, features_at(l));
    float* const sums = reverse.gradient->layers[l].weight.data();
    float* const scratch = memory.transposed.data();
    if (layer.sums_transposed())
      accumulate_weight_gradient(input, layer.depth(), cotangents, layer.out, memory.columns, sums,
                                 scratch);
    else
      accumulate_weight_gradient(cotangents, layer.out, input, layer.depth(), memory.columns, sums,
                                 scratch);
  }
}

inline double Net::pullback(const TimeSlot& slot, const TileCotangents& arrays,
                            Activations& activations, GradientSlot* gradients,
                            double* times_bar) const {
  const auto& time = static_cast<const NetTime&>(slot);
  auto& memory = static_cast<TileActivations&>(activations);
  Reverse reverse{time, arrays, memory, static_cast<NetGradient*>(gradients), 0, times_bar};
  const Columns& columns = memory.columns;
  const bool closed = memory.evaluation.form == Form::Closed;
  const int last_layer = layer_count() - 1;

  int current = 0;
  Panels bar = panels(memory.cotangents[current], columns, features_at(layer_count()));
  load_seeds(reverse, bar);
  if (closed) {
    prepare_closed(reverse);
    finish_closed(reverse);
  }
  pull_back_activation(reverse, last_layer, bar, {});
  for (int l = last_layer; l > 0; --l) {
    finish_layer(reverse, l, bar);
    const Panels next = panels(memory.cotangents[1 - current], columns, features_at(l));
    if (layers_[l].expanded()) {
      multiply(backward_matrix(time, l), bar, next, columns);
      contract_input(reverse, l, next);
      pull_back_activation(reverse, l - 1, next, {});
    } else {
      pull_back_activation(reverse, l - 1, next, bar);
    }
    bar = next;
    current = 1 - current;
  }
  finish_layer(reverse, 0, bar);

  // Of the first layer's input only the value has a cotangent that anyone wants, but for t̄ of blend.
  const Panels input_bar = panels(memory.cotangents[1 - current], columns, features_at(0));
  const PackedMatrix& matrix = backward_matrix(time, 0);
  if (layers_[0].expanded()) {
    multiply(matrix, bar, input_bar, columns);
    contract_input(reverse, 0, input_bar);
  } else {
    multiply_values(matrix, bar, input_bar, columns);
  }
  for (int g = 0; g < groups_; ++g)
    for (int i = 0; i < dimension_; ++i) {
      float* z_bar = arrays.z + i * rows() + std::size_t(g) * kLanes;
      const float* through_net =
          input_bar.column(g * columns.channels) + i * kFeatureStride;
      store(z_bar, load(z_bar) + load(through_net));
    }
  return reverse.t_bar;
}
