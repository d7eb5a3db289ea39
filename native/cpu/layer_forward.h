// From sums to activations: z = g ⊙ (W a) + c, a' = σ(z); u = g ⊙ (W ȧ), ȧ' = σ'(z) ⊙ u, in place.
// Included inside the namespace of one instruction set.

/// How many tangents a kernel is compiled for: 0, 1, or any number.
inline constexpr int kAnyTangents = -1;

/// A vector a feature, the same for all rows of the tile or with an own entry for each.
struct RowVectors {
  const float* data = nullptr;
  int feature_stride = kLanes, group_stride = 0;  ///< own entries: rows of the tile, kLanes

  [[gnu::always_inline]] Vec at(int feature, int group) const {
    return load(data + std::size_t(feature) * feature_stride + group * group_stride);
  }
};

struct ForwardArguments {
  const PackedMatrix* matrix;  ///< W
  int rows;                    ///< of W: units of the layer
  Columns columns;
  Panels in, out;
  RowVectors gate, offset;          ///< g, and c = g ⊙ b + s
  float beta = 1;                   ///< of swish
  float* preactivations = nullptr;  ///< (z, u), laid out as `out`; null: not kept
  float* slopes = nullptr;          ///< σ'(z), [feature][rows of the tile]; null: not kept
  /// Closed-form traces: σ'(z) ⊙ g, laid out as `out`, stands for the tangent of u = g; else null.
  float* closed_tangents = nullptr;
};

/// z → a for unit j and group g; returns σ'(z).
template <class Activation>
[[gnu::always_inline]] inline Vec activate_value(const ForwardArguments& s, int j, int g,
                                                 std::size_t at, Vec sum, Vec gate) {
  const Vec z = fma(gate, sum, s.offset.at(j, g));
  Vec a, slope;
  Activation::evaluate(z, splat(s.beta), a, slope);
  store(s.out.data + at, a);
  if (s.preactivations) store(s.preactivations + at, z);
  if (Activation::kKeepsSlope && s.slopes)
    store(s.slopes + (std::size_t(j) * s.columns.groups + g) * kLanes, slope);
  if (s.closed_tangents) store(s.closed_tangents + at, slope * gate);
  return slope;
}

[[gnu::always_inline]] inline void activate_tangent(const ForwardArguments& s, std::size_t at,
                                                    Vec sum, Vec gate, Vec slope) {
  const Vec u = gate * sum;
  if (s.preactivations) store(s.preactivations + at, u);
  store(s.out.data + at, slope * u);
}

/// Activations of one full block of rows for one panel whose sums never left the registers. The panel
/// holds a value and its tangent (Tangents = 1), or the values of two groups.
template <class Activation, int Tangents>
[[gnu::always_inline]] inline void activate_panel(const ForwardArguments& s, int first, int panel,
                                                  const Vec (&sums)[kBlockRows][2]) {
  std::size_t at = panel * s.out.stride + std::size_t(first) * kFeatureStride;
#pragma GCC unroll 8
  for (int r = 0; r < kBlockRows; ++r, at += kFeatureStride) {
    const int j = first + r;
    if constexpr (Tangents == 1) {
      const Vec gate = s.gate.at(j, panel);
      const Vec slope = activate_value<Activation>(s, j, panel, at, sums[r][0], gate);
      activate_tangent(s, at + kLanes, sums[r][1], gate, slope);
    } else {
      const int g = 2 * panel;
      activate_value<Activation>(s, j, g, at, sums[r][0], s.gate.at(j, g));
      activate_value<Activation>(s, j, g + 1, at + kLanes, sums[r][1], s.gate.at(j, g + 1));
    }
  }
}

/// Activations of rows whose sums lie in `out`, any number of tangents.
template <class Activation>
void activate_rows(const ForwardArguments& s, int first, int last) {
  for (int j = first; j < last; ++j) {
    const std::size_t row = std::size_t(j) * kFeatureStride;
    int column = 0;
    for (int g = 0; g < s.columns.groups; ++g) {
      const std::size_t at = s.out.offset(column++) + row;
      const Vec gate = s.gate.at(j, g);
      const Vec slope = activate_value<Activation>(s, j, g, at, load(s.out.data + at), gate);
      for (int k = 1; k < s.columns.channels; ++k) {
        const std::size_t tangent_at = s.out.offset(column++) + row;
        activate_tangent(s, tangent_at, load(s.out.data + tangent_at), gate, slope);
      }
    }
  }
}

/// A whole layer: sums and activations, block of rows by block. Tangents: 0, 1, or kAnyTangents.
template <class Activation, int Tangents>
void forward_layer(const ForwardArguments& arguments) {
  const ForwardArguments s = arguments;
  const PackedMatrix& matrix = *s.matrix;
  const int panels = s.columns.panels();
  for (int block = 0; block <= matrix.full_blocks(); ++block) {
    const int first = block * kBlockRows;
    if (Tangents == kAnyTangents || block == matrix.full_blocks()) {
      multiply_panels(matrix, block, s.in, s.out, panels);
      activate_rows<Activation>(s, first, std::min(first + kBlockRows, s.rows));
      continue;
    }
    for (int panel = 0; panel < panels; ++panel) {
      const float* from = s.in.data + panel * s.in.stride;
      Vec sums[kBlockRows][2];
      multiply_block<kBlockRows>(matrix.block(block), matrix.depth, from, from + kLanes, sums);
      activate_panel<Activation, Tangents>(s, first, panel, sums);
    }
  }
}
