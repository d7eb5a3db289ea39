// C += P A for outer products summed over rows and tangents. Included inside the namespace of one
// instruction set.
//
// Register budget: 6 × 2 sums + 2 vectors of A + 1 entry of P = 15 of 16. 12 FMAs for 8 loads.

inline constexpr int kOuterRows = 6;

/// C (Rows, 2 kLanes) += P (Rows, samples) A (samples, 2 kLanes), samples in `runs` runs of `length`.
struct OuterArguments {
  float* c;
  int c_stride;
  const float* p;
  std::size_t p_row_stride, p_run_stride;
  const float* a;
  int a_stride;
  int runs, length;
};

template <int Rows>
[[gnu::always_inline]] inline void accumulate_outer(const OuterArguments& s) {
  Vec sums[Rows][2];
#pragma GCC unroll 6
  for (int r = 0; r < Rows; ++r) {
    sums[r][0] = load(s.c + std::size_t(r) * s.c_stride);
    sums[r][1] = load(s.c + std::size_t(r) * s.c_stride + kLanes);
  }
  const float* a = s.a;
  for (int run = 0; run < s.runs; ++run) {
    const float* p = s.p + run * s.p_run_stride;
#pragma GCC unroll 2
    for (int i = 0; i < s.length; ++i) {
      const Vec a0 = load(a), a1 = load(a + kLanes);
      a += s.a_stride;
#pragma GCC unroll 6
      for (int r = 0; r < Rows; ++r) {
        const Vec entry = splat(p[r * s.p_row_stride + i]);
        sums[r][0] = fma(entry, a0, sums[r][0]);
        sums[r][1] = fma(entry, a1, sums[r][1]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < Rows; ++r) {
    store(s.c + std::size_t(r) * s.c_stride, sums[r][0]);
    store(s.c + std::size_t(r) * s.c_stride + kLanes, sums[r][1]);
  }
}

/// All `rows` rows of C for one block of 2 kLanes columns.
inline void accumulate_outer_rows(OuterArguments s, int rows) {
  int row = 0;
  const auto advance = [&](int count) {
    row += count;
    s.c += std::size_t(count) * s.c_stride;
    s.p += count * s.p_row_stride;
  };
  for (; row + kOuterRows <= rows; advance(kOuterRows)) accumulate_outer<kOuterRows>(s);
  switch (rows - row) {
    case 1: accumulate_outer<1>(s); break;
    case 2: accumulate_outer<2>(s); break;
    case 3: accumulate_outer<3>(s); break;
    case 4: accumulate_outer<4>(s); break;
    case 5: accumulate_outer<5>(s); break;
    default: break;
  }
}

/// C (rows of p, padded features of a) += Σ over all columns and lanes p aᵀ. `c_stride` is
/// padded_features(depth). `scratch` takes samples × 2 kLanes floats.
inline void accumulate_weight_gradient(const Panels& p, int rows, const Panels& a, int depth,
                                       const Columns& columns, float* c, float* scratch) {
  const int c_stride = padded_features(depth), stride = kFeatureStride;
  for (int k = 0; k < depth; k += 2 * kLanes) {
    // Block [samples][2 kLanes] of aᵀ: 4 kB at 32 rows of value and tangent, read `rows` / 6 times.
    for (int n = 0; n < columns.count(); ++n) {
      for (int half = 0; half < 2; ++half) {
        const float* from = a.column(n) + std::size_t(k + half * kLanes) * stride;
        float* to = scratch + std::size_t(n) * kLanes * 2 * kLanes + half * kLanes;
        Vec block[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) block[i] = load(from + std::size_t(i) * stride);
        transpose(block);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store(to + std::size_t(i) * 2 * kLanes, block[i]);
      }
    }
    accumulate_outer_rows({.c = c + k,
                           .c_stride = c_stride,
                           .p = p.data,
                           .p_row_stride = kFeatureStride,
                           .p_run_stride = p.stride,
                           .a = scratch,
                           .a_stride = 2 * kLanes,
                           .runs = columns.panels(),
                           .length = kFeatureStride},
                          rows);
  }
}

/// C (rows, columns) += P (rows, depth) A (depth, columns), row-major; strides of C and A are
/// multiples of 2 kLanes and at least `columns` rounded up to one.
inline void accumulate_product(float* c, int c_stride, const float* p, int p_stride, const float* a,
                               int a_stride, int rows, int depth, int columns) {
  for (int k = 0; k < columns; k += 2 * kLanes)
    accumulate_outer_rows({.c = c + k,
                           .c_stride = c_stride,
                           .p = p,
                           .p_row_stride = std::size_t(p_stride),
                           .p_run_stride = 0,
                           .a = a + k,
                           .a_stride = a_stride,
                           .runs = 1,
                           .length = depth},
                          rows);
}
