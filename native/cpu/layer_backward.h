// The reverse of layer_forward.h: z̄ = σ' ā + Σ σ''u ǡ, ū = σ' ǡ, and the sums over rows that the
// gradients of gates, shifts and biases need. Included inside the namespace of one instruction set.
//
// The gate of a layer multiplies z̄ and ū at once, as both the weight gradient and Wᵀ want them gated.
// With q the gate's logit, q̄ = (1 − g) Σ z̄ (z − s) + ū u: no division by g, which may underflow.

struct BackwardArguments {
  const PackedMatrix* matrix = nullptr;  ///< Wᵀ of the layer above; null: `cotangents` are there already
  Panels above;                          ///< g ⊙ (z̄, ū) of the layer above
  int rows;                              ///< units of this layer
  Columns columns;
  Panels cotangents;                      ///< (ā, ǡ), then g ⊙ (z̄, ū)
  const float* activations = nullptr;     ///< (a, ȧ), laid out as `cotangents`
  const float* preactivations = nullptr;  ///< (z, u), likewise
  const float* slopes = nullptr;          ///< [feature][rows of the tile]
  RowVectors gate, shift;                 ///< g, s
  /// Whether the gate is other than one and the same for all rows; then `preactivations` is given.
  bool applies_gate = false;
  float beta = 1;
  float* sums = nullptr;       ///< [feature][kLanes], added to: Σ z̄ over groups
  float* gate_sums = nullptr;  ///< [feature][kLanes]: Σ z̄ (z − s) + ū u; where the gate is applied
  float* beta_sums = nullptr;  ///< [kLanes]: β̄ of swish
  /// Closed-form traces: the tangents σ' g and, in place, their cotangents (ū out); else null.
  const float* closed_tangents = nullptr;
  float* closed_cotangents = nullptr;
};

/// Running sums of one unit.
struct UnitSums {
  Vec sum, gate_sum, beta;
};

/// σ', the factor of σ''u and, for swish, ∂σ/∂β and ∂σ'/∂β of one unit and group.
struct UnitSlopes {
  Slopes z, beta;
};

template <class Activation>
[[gnu::always_inline]] inline UnitSlopes slopes_of(const BackwardArguments& s, int j, int g,
                                                   std::size_t at) {
  Tape tape;
  tape.a = load(s.activations + at);
  if constexpr (Activation::kKeepsPreactivation) tape.z = load(s.preactivations + at);
  if constexpr (Activation::kKeepsSlope)
    tape.slope = load(s.slopes + (std::size_t(j) * s.columns.groups + g) * kLanes);
  UnitSlopes slopes;
  slopes.z = Activation::pullback(tape, splat(s.beta));
  if constexpr (Activation::kHasBeta)
    slopes.beta = Activation::beta_slopes(tape.z, splat(s.beta));
  return slopes;
}

/// ǡ → ū of one tangent; z̄ and the sums take its share. Returns ū.
template <class Activation>
[[gnu::always_inline]] inline Vec pull_back_tangent(const BackwardArguments& s,
                                                    const UnitSlopes& slopes, Vec tangent_bar,
                                                    Vec tangent, Vec u, Vec& z_bar, UnitSums& sums) {
  const Vec u_bar = slopes.z.slope * tangent_bar;
  const Vec bends = Activation::kBendsPreactivation ? u : tangent;
  z_bar = fma(slopes.z.bend * bends, tangent_bar, z_bar);
  if constexpr (Activation::kHasBeta)
    sums.beta = fma(slopes.beta.bend * u, tangent_bar, sums.beta);
  if (s.applies_gate) sums.gate_sum = fma(u_bar, u, sums.gate_sum);
  return u_bar;
}

/// Unit j and group g, its columns at `at` and, the tangents, from column index `column` + 1 on; the
/// first two columns' cotangents in registers.
template <class Activation, int Tangents>
[[gnu::always_inline]] inline void pull_back_unit(const BackwardArguments& s, int j, int g, int column,
                                                  std::size_t at, Vec a_bar, Vec tangent_bar,
                                                  UnitSums& sums) {
  const UnitSlopes slopes = slopes_of<Activation>(s, j, g, at);
  Vec z_bar = slopes.z.slope * a_bar;
  if constexpr (Activation::kHasBeta) sums.beta = fma(slopes.beta.slope, a_bar, sums.beta);
  const Vec gate = s.gate.at(j, g);
  const bool needs_u = Activation::kBendsPreactivation || s.applies_gate;
  const auto pull_back_at = [&](std::size_t tangent_at, Vec bar) __attribute__((always_inline)) {
    Vec u = {}, tangent = {};
    if (needs_u) u = load(s.preactivations + tangent_at);
    if constexpr (!Activation::kBendsPreactivation) tangent = load(s.activations + tangent_at);
    const Vec u_bar = pull_back_tangent<Activation>(s, slopes, bar, tangent, u, z_bar, sums);
    store(s.cotangents.data + tangent_at, s.applies_gate ? gate * u_bar : u_bar);
  };
  if constexpr (Tangents == 1) pull_back_at(at + kLanes, tangent_bar);
  if constexpr (Tangents == kAnyTangents)
    for (int k = 1; k < s.columns.channels; ++k) {
      const std::size_t tangent_at =
          s.cotangents.offset(column + k) + std::size_t(j) * kFeatureStride;
      pull_back_at(tangent_at, load(s.cotangents.data + tangent_at));
    }
  if (Tangents != 1 && s.closed_tangents) {
    const Vec u_bar =
        pull_back_tangent<Activation>(s, slopes, load(s.closed_cotangents + at),
                                      load(s.closed_tangents + at), gate, z_bar, sums);
    store(s.closed_cotangents + at, u_bar);
  }
  sums.sum = sums.sum + z_bar;
  if (s.applies_gate) {
    sums.gate_sum = fma(z_bar, load(s.preactivations + at) - s.shift.at(j, g), sums.gate_sum);
    z_bar = gate * z_bar;
  }
  store(s.cotangents.data + at, z_bar);
}

[[gnu::always_inline]] inline UnitSums load_sums(const BackwardArguments& s, int j) {
  return {load(s.sums + std::size_t(j) * kLanes), load(s.gate_sums + std::size_t(j) * kLanes),
          load(s.beta_sums)};
}
template <class Activation>
[[gnu::always_inline]] inline void store_sums(const BackwardArguments& s, int j,
                                              const UnitSums& sums) {
  store(s.sums + std::size_t(j) * kLanes, sums.sum);
  if (s.applies_gate) store(s.gate_sums + std::size_t(j) * kLanes, sums.gate_sum);
  if constexpr (Activation::kHasBeta) store(s.beta_sums, sums.beta);
}

/// Rows whose (ā, ǡ) lie in `cotangents`, any number of tangents.
template <class Activation>
void pull_back_rows(const BackwardArguments& s, int first, int last) {
  for (int j = first; j < last; ++j) {
    UnitSums sums = load_sums(s, j);
    for (int g = 0; g < s.columns.groups; ++g) {
      const int column = g * s.columns.channels;
      const std::size_t at = s.cotangents.offset(column) + std::size_t(j) * kFeatureStride;
      pull_back_unit<Activation, kAnyTangents>(s, j, g, column, at, load(s.cotangents.data + at), Vec{},
                                               sums);
    }
    store_sums<Activation>(s, j, sums);
  }
}

/// A whole layer: (ā, ǡ) = Wᵀ (cotangents above), and their pullback through the activation, block of
/// rows by block. Tangents: 0, 1, or kAnyTangents.
template <class Activation, int Tangents>
void backward_layer(const BackwardArguments& arguments) {
  const BackwardArguments s = arguments;
  if (!s.matrix) return pull_back_rows<Activation>(s, 0, s.rows);
  const PackedMatrix& matrix = *s.matrix;
  const int panels = s.columns.panels();
  for (int block = 0; block <= matrix.full_blocks(); ++block) {
    const int first = block * kBlockRows;
    if (Tangents == kAnyTangents || block == matrix.full_blocks()) {
      multiply_panels(matrix, block, s.above, s.cotangents, panels);
      pull_back_rows<Activation>(s, first, std::min(first + kBlockRows, s.rows));
      continue;
    }
    for (int panel = 0; panel < panels; ++panel) {
      const float* from = s.above.data + panel * s.above.stride;
      Vec bars[kBlockRows][2];
      multiply_block<kBlockRows, 2>(matrix.block(block), matrix.depth, {from, from + kLanes}, bars);
      std::size_t at = panel * s.cotangents.stride + std::size_t(first) * kFeatureStride;
#pragma GCC unroll 8
      for (int r = 0; r < kBlockRows; ++r, at += kFeatureStride) {
        const int j = first + r;
        UnitSums sums = load_sums(s, j);
        if constexpr (Tangents == 1) {
          pull_back_unit<Activation, 1>(s, j, panel, 0, at, bars[r][0], bars[r][1], sums);
        } else {
          pull_back_unit<Activation, 0>(s, j, 2 * panel, 0, at, bars[r][0], Vec{}, sums);
          pull_back_unit<Activation, 0>(s, j, 2 * panel + 1, 0, at + kLanes, bars[r][1], Vec{}, sums);
        }
        store_sums<Activation>(s, j, sums);
      }
    }
  }
}
