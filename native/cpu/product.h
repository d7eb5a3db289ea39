// out = W in for columns of kLanes rows. Included inside the namespace of one instruction set.
//
// Register budget of the micro-kernel: 6 × 2 sums + 2 columns + 1 weight = 15 of 16 (AVX2, SSE2);
// 8 × 2 + 2 + 1 = 19 of 32 (AVX-512, NEON). Two units of latency four need eight sums at least; twelve
// leave them slack. 2 · rows · 2 · kLanes FLOPs for rows + 2 loads at each k.

inline constexpr int kBlockRows = kRegisters >= 32 ? 8 : 6;

/// W (rows, depth) as the micro-kernel reads it: blocks of kBlockRows rows, [block][depth][kBlockRows],
/// and a last one of as many rows as are left, an even number, the odd one being zero.
struct PackedMatrix {
  int rows = 0, depth = 0;
  AlignedFloats values;

  int full_blocks() const { return rows / kBlockRows; }
  int tail_rows() const { return round_up(rows % kBlockRows, 2); }
  const float* block(int index) const {
    return values.data() + std::size_t(index) * depth * kBlockRows;
  }
  /// `element(row, k)` gives the matrix.
  template <class Element>
  void pack(int new_rows, int new_depth, Element element) {
    rows = new_rows;
    depth = new_depth;
    values.assign(std::size_t(full_blocks() * kBlockRows + tail_rows()) * depth, 0.f);
    for (int row = 0; row < rows; ++row) {
      const int block_index = row / kBlockRows;
      const int width = block_index < full_blocks() ? kBlockRows : tail_rows();
      float* to = values.data() + std::size_t(block_index) * depth * kBlockRows + row % kBlockRows;
      for (int k = 0; k < depth; ++k) to[std::size_t(k) * width] = element(row, k);
    }
  }
};

/// sums = `Rows` rows of W times two columns.
template <int Rows>
[[gnu::always_inline]] inline void multiply_block(const float* weights, int depth, const float* first,
                                                  const float* second, Vec (&sums)[Rows][2]) {
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) sums[r][0] = sums[r][1] = Vec{};
#pragma GCC unroll 2
  for (int k = 0; k < depth; ++k) {
    const Vec a = load(first), b = load(second);
    first += kFeatureStride;
    second += kFeatureStride;
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vec weight = splat(weights[r]);
      sums[r][0] = fma(weight, a, sums[r][0]);
      sums[r][1] = fma(weight, b, sums[r][1]);
    }
    weights += Rows;
  }
}

/// The same, stored.
template <int Rows>
void multiply_and_store(const float* weights, int depth, const float* first, const float* second,
                        float* first_out, float* second_out) {
  Vec sums[Rows][2];
  multiply_block<Rows>(weights, depth, first, second, sums);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    store(first_out + r * kFeatureStride, sums[r][0]);
    store(second_out + r * kFeatureStride, sums[r][1]);
  }
}

inline void multiply_rows(int rows, const float* weights, int depth, const float* first,
                          const float* second, float* first_out, float* second_out) {
  switch (rows) {
    case 2: return multiply_and_store<2>(weights, depth, first, second, first_out, second_out);
    case 4: return multiply_and_store<4>(weights, depth, first, second, first_out, second_out);
    case 6: return multiply_and_store<6>(weights, depth, first, second, first_out, second_out);
    case 8: return multiply_and_store<8>(weights, depth, first, second, first_out, second_out);
    default: return;
  }
}

/// Rows [kBlockRows · block, …) of out = W in, for all panels; the block after the full ones is the tail.
inline void multiply_panels(const PackedMatrix& matrix, int block, const Panels& in,
                            const Panels& out, int panels) {
  const int rows = block < matrix.full_blocks() ? kBlockRows : matrix.tail_rows();
  const std::size_t first_row = std::size_t(block) * kBlockRows * kFeatureStride;
  for (int panel = 0; panel < panels; ++panel) {
    const float* from = in.data + panel * in.stride;
    float* to = out.data + panel * out.stride + first_row;
    multiply_rows(rows, matrix.block(block), matrix.depth, from, from + kLanes, to, to + kLanes);
  }
}

inline void multiply(const PackedMatrix& matrix, const Panels& in, const Panels& out,
                     const Columns& columns) {
  for (int block = 0; block <= matrix.full_blocks(); ++block)
    multiply_panels(matrix, block, in, out, columns.panels());
}

/// The same for the values alone, those of two groups at a time.
inline void multiply_values(const PackedMatrix& matrix, const Panels& in, const Panels& out,
                            const Columns& columns) {
  for (int block = 0; block <= matrix.full_blocks(); ++block) {
    const int rows = block < matrix.full_blocks() ? kBlockRows : matrix.tail_rows();
    const std::size_t first_row = std::size_t(block) * kBlockRows * kFeatureStride;
    for (int g = 0; g < columns.groups; g += 2) {
      const int n = g * columns.channels, next = n + columns.channels;
      multiply_rows(rows, matrix.block(block), matrix.depth, in.column(n), in.column(next),
                    out.column(n) + first_row, out.column(next) + first_row);
    }
  }
}
