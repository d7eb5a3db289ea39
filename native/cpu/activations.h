// Activations σ with what the pullback of (value, tangent) needs of them.
//
// Each gives   evaluate(z, β) → a = σ(z), slope = σ'(z)
//              pullback(tape, β) → slope = σ'(z), bend, such that σ''(z) u = bend · ȧ, or bend · u
//              where kBendsPreactivation. kKeepsPreactivation: z, u must be on the tape;
//              kKeepsSlope: σ'.
// Clamps take the bound first, so that a NaN passes through. Errors against float64 over all floats
// in range: tanh 4.7 ulp (mean 0.2), softplus and sigmoid 2.6.
#pragma once

#include <type_traits>

#include "core/net_plan.h"
#include "cpu/vec.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

struct Tape {
  Vec a, slope, z;  ///< of one unit; those not kept are undefined
};
struct Slopes {
  Vec slope, bend;
};

/// e^x for x in [−87, 88].
[[gnu::always_inline]] inline Vec exp_in_range(Vec x) {
  const Vec round = splat(12582912.f);  // 1.5 · 2²³: adding it rounds to an integer
  Vec n = fma(x, splat(1.44269504088896f), round);
  const Vec scale = (Vec)(((IntVec)n << 23) + splat(0x3f800000));
  n = n - round;
  Vec r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  Vec p = splat(1.98412698e-4f);
  p = fma(p, r, splat(1.388888889e-3f));
  p = fma(p, r, splat(8.333333333e-3f));
  p = fma(p, r, splat(4.16666666667e-2f));
  p = fma(p, r, splat(1.66666666667e-1f));
  p = fma(p, r, splat(0.5f));
  return fma(scale, fma(p * r, r, r), scale);
}

/// e^x − 1 for x in [−87, 0], accurate near 0.
[[gnu::always_inline]] inline Vec expm1_of_negative(Vec x) {
  const Vec round = splat(12582912.f);
  Vec n = fma(x, splat(1.44269504088896f), round);
  const Vec scale = (Vec)(((IntVec)n << 23) + splat(0x3f800000));
  n = n - round;
  Vec r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  Vec p = splat(1.98412698e-4f);
  p = fma(p, r, splat(1.388888889e-3f));
  p = fma(p, r, splat(8.333333333e-3f));
  p = fma(p, r, splat(4.16666666667e-2f));
  p = fma(p, r, splat(1.66666666667e-1f));
  p = fma(p, r, splat(0.5f));
  return fma(scale, fma(p * r, r, r), scale - splat(1.f));
}

[[gnu::always_inline]] inline Vec sigmoid(Vec x) {
  const Vec e = exp_in_range(-min(splat(87.f), abs(x)));
  const Vec inverse = splat(1.f) / (splat(1.f) + e);
  return select(x < splat(0.f), e * inverse, inverse);
}

struct TanhActivation {
  static constexpr bool kKeepsPreactivation = false, kKeepsSlope = false;
  static constexpr bool kBendsPreactivation = false, kHasBeta = false;

  /// x (1 + s p(s)) / (1 + s q(s)), s = x²: minimax relative error 6.5e-9 before rounding. Terms in
  /// pairs, as the length of the chain of dependent operations is what costs.
  [[gnu::always_inline]] static void evaluate(Vec z, Vec, Vec& a, Vec& slope) {
    const Vec x = max(splat(-7.98f), min(splat(7.98f), z));
    const Vec s = x * x, one = splat(1.f);
    Vec p = fma(s, splat(1.5331818961e-08f), splat(2.1964737731e-05f));
    p = fma(s, p, splat(0.0035757851367f));
    p = fma(s, p, splat(0.13448013524f));
    Vec q = fma(s, splat(8.562902916e-07f), splat(0.00034181795399f));
    q = fma(s, q, splat(0.026180334986f));
    q = fma(s, q, splat(0.4678134293f));
    a = fma(x * s, p, x) / fma(s, q, one);
    slope = splat(1.f) - a * a;
  }
  [[gnu::always_inline]] static Slopes pullback(const Tape& tape, Vec) {
    return {splat(1.f) - tape.a * tape.a, splat(-2.f) * tape.a};
  }
};

struct SoftplusActivation {
  static constexpr bool kKeepsPreactivation = false, kKeepsSlope = true;
  static constexpr bool kBendsPreactivation = false, kHasBeta = false;

  /// max(z, 0) + log(1 + e^−|z|), the logarithm as 2 artanh(e / (2 + e)).
  [[gnu::always_inline]] static void evaluate(Vec z, Vec, Vec& a, Vec& slope) {
    const Vec one = splat(1.f);
    const Vec e = exp_in_range(-min(splat(87.f), abs(z)));
    const Vec inverse = one / (one + e);
    slope = select(z < splat(0.f), e * inverse, inverse);
    const Vec s = e / (e + splat(2.f)), s2 = s * s;
    Vec p = splat(1.f / 13);
    p = fma(p, s2, splat(1.f / 11));
    p = fma(p, s2, splat(1.f / 9));
    p = fma(p, s2, splat(1.f / 7));
    p = fma(p, s2, splat(1.f / 5));
    p = fma(p, s2, splat(1.f / 3));
    const Vec half = fma(p * s2, s, s);
    a = max(splat(0.f), z) + (half + half);
  }
  [[gnu::always_inline]] static Slopes pullback(const Tape& tape, Vec) {
    return {tape.slope, splat(1.f) - tape.slope};
  }
};

struct EluActivation {
  static constexpr bool kKeepsPreactivation = false, kKeepsSlope = false;
  static constexpr bool kBendsPreactivation = false, kHasBeta = false;

  [[gnu::always_inline]] static void evaluate(Vec z, Vec, Vec& a, Vec& slope) {
    const Vec zero = splat(0.f);
    const Vec below = expm1_of_negative(max(splat(-87.f), min(zero, z)));
    a = select(z > zero, z, below);
    slope = select(z > zero, splat(1.f), below + splat(1.f));
  }
  [[gnu::always_inline]] static Slopes pullback(const Tape& tape, Vec) {
    const Vec zero = splat(0.f), one = splat(1.f);
    return {select(tape.a > zero, one, tape.a + one), select(tape.a > zero, zero, one)};
  }
};

struct ReluActivation {
  static constexpr bool kKeepsPreactivation = false, kKeepsSlope = false;
  static constexpr bool kBendsPreactivation = false, kHasBeta = false;

  [[gnu::always_inline]] static void evaluate(Vec z, Vec, Vec& a, Vec& slope) {
    const Vec zero = splat(0.f);
    a = max(zero, z);
    slope = select(z > zero, splat(1.f), zero);
  }
  [[gnu::always_inline]] static Slopes pullback(const Tape& tape, Vec) {
    return {select(tape.a > splat(0.f), splat(1.f), splat(0.f)), splat(0.f)};
  }
};

struct SquareActivation {
  static constexpr bool kKeepsPreactivation = true, kKeepsSlope = false;
  static constexpr bool kBendsPreactivation = true, kHasBeta = false;

  [[gnu::always_inline]] static void evaluate(Vec z, Vec, Vec& a, Vec& slope) {
    a = z * z;
    slope = z + z;
  }
  [[gnu::always_inline]] static Slopes pullback(const Tape& tape, Vec) {
    return {tape.z + tape.z, splat(2.f)};
  }
};

struct IdentityActivation {
  static constexpr bool kKeepsPreactivation = false, kKeepsSlope = false;
  static constexpr bool kBendsPreactivation = false, kHasBeta = false;

  [[gnu::always_inline]] static void evaluate(Vec z, Vec, Vec& a, Vec& slope) {
    a = z;
    slope = splat(1.f);
  }
  [[gnu::always_inline]] static Slopes pullback(const Tape&, Vec) {
    return {splat(1.f), splat(0.f)};
  }
};

/// z s(βz) with s the sigmoid: σ' = s (1 + βz (1 − s)), σ'' = β s (1 − s) (2 + βz (1 − 2s)).
struct SwishActivation {
  static constexpr bool kKeepsPreactivation = true, kKeepsSlope = false;
  static constexpr bool kBendsPreactivation = true, kHasBeta = true;

  [[gnu::always_inline]] static void evaluate(Vec z, Vec beta, Vec& a, Vec& slope) {
    const Vec y = beta * z, s = sigmoid(y);
    a = z * s;
    slope = s * fma(y, splat(1.f) - s, splat(1.f));
  }
  [[gnu::always_inline]] static Slopes pullback(const Tape& tape, Vec beta) {
    const Vec one = splat(1.f);
    const Vec y = beta * tape.z, s = sigmoid(y);
    return {s * fma(y, one - s, one), beta * (s * (one - s)) * fma(y, one - s - s, splat(2.f))};
  }
  /// ∂a/∂β = z² s (1 − s), ∂σ'/∂β = z s (1 − s) (2 + βz (1 − 2s)).
  [[gnu::always_inline]] static Slopes beta_slopes(Vec z, Vec beta) {
    const Vec one = splat(1.f);
    const Vec y = beta * z, s = sigmoid(y), w = z * s * (one - s);
    return {z * w, w * fma(y, one - s - s, splat(2.f))};
  }
};

/// choose(A()) for the activation's type A.
template <class Choose>
auto with_activation(Activation activation, Choose choose) {
  switch (activation) {
    case Activation::Tanh:
      return choose(TanhActivation());
    case Activation::Softplus:
      return choose(SoftplusActivation());
    case Activation::Elu:
      return choose(EluActivation());
    case Activation::Relu:
      return choose(ReluActivation());
    case Activation::Swish:
      return choose(SwishActivation());
    case Activation::Square:
      return choose(SquareActivation());
    case Activation::Identity:
      break;
  }
  return choose(IdentityActivation());
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
