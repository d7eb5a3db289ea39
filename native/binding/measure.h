// What this processor could do at best, for the benchmark to compare with.
#pragma once

namespace ffjord::binding {

/// Peak rate of single-precision fused multiply-adds on the calling core, GFLOP/s (two operations
/// each), with the vectors that the CPU engine uses; the best of many short rounds within
/// `seconds`.
double fma_peak(double seconds);

}  // namespace ffjord::binding
