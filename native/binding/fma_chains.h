// The loop behind fma_peak(), compiled once per instruction set: measure.cc includes this inside a
// namespace that defines Vector, so there is no include guard.

// Multiply-adds on independent chains; returns the floating-point operations done. The compiler
// contracts a·x + b where the target has a fused multiply-add.
double multiply_add(float seed) {
  constexpr int rounds = 20000;
  constexpr int chain_count = 12;  // covers a latency of 4-5 cycles on two ports, fits 16 registers
  Vector chains[chain_count];
  for (int c = 0; c < chain_count; ++c) chains[c] = Vector{} + (seed + static_cast<float>(c));
  const Vector a = Vector{} + 0.999f, b = Vector{} + 0.001f;
  for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int c = 0; c < chain_count; ++c) chains[c] = chains[c] * a + b;
  }
  Vector sum{};
  for (int c = 0; c < chain_count; ++c) sum += chains[c];
  volatile float sink = sum[0];  // keeps the loop
  static_cast<void>(sink);
  return 2.0 * rounds * chain_count * (sizeof(Vector) / sizeof(float));
}
