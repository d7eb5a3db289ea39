// Activations σ with what the pullback of (value, tangent) needs of them, one number a thread.
#pragma once

#include <type_traits>

#include "core/flow_description.h"
#include "cuda/device/intrinsics.h"

namespace ffjord::cuda {

struct Activated {
  float a, slope;  ///< σ(z), σ'(z)
};

/// slope = σ'(z); bend such that σ''(z) u = bend · ȧ, or bend · u where bends_preactivation.
struct Slopes {
  float slope, bend;
};

/// Whether z and u must be on the tape.
__host__ __device__ inline bool bends_preactivation(Activation activation) {
  return activation == Activation::Square || activation == Activation::Swish;
}

/// How a division rounds: to the nearest, or by a reciprocal to 1 ulp, in a fifth of the
/// instructions.
enum class Division { Nearest, Reciprocal };

template <Division division>
__device__ inline float divide(float x, float y) {
  return division == Division::Nearest ? x / y : x * rcp_fast(y);
}

/// 1 / (1 + e^−x) without overflow.
template <Division division = Division::Nearest>
__device__ inline float sigmoid(float x) {
  const float e = expf(-fabsf(x)), inverse = divide<division>(1.f, 1.f + e);
  return x < 0.f ? e * inverse : inverse;
}

/// x (1 + s p(s)) / (1 + s q(s)), s = x²: minimax relative error 6.5e-9 before rounding. A NaN
/// passes.
template <Division division = Division::Nearest>
__device__ inline float rational_tanh(float z) {
  const float x = clamp(z, 7.98f);
  const float s = x * x;
  float p = fmaf(s, 1.5331818961e-08f, 2.1964737731e-05f);
  p = fmaf(s, p, 0.0035757851367f);
  p = fmaf(s, p, 0.13448013524f);
  float q = fmaf(s, 8.562902916e-07f, 0.00034181795399f);
  q = fmaf(s, q, 0.026180334986f);
  q = fmaf(s, q, 0.4678134293f);
  return divide<division>(fmaf(x * s, p, x), fmaf(s, q, 1.f));
}

template <Division division = Division::Nearest>
__device__ inline Activated activate(Activation activation, float z, float beta) {
  switch (activation) {
    case Activation::Tanh: {
      const float a = rational_tanh<division>(z);
      return {a, 1.f - a * a};
    }
    case Activation::Softplus:  // max(z, 0) + log(1 + e^−|z|)
      return {(z > 0.f ? z : z - z) + log1pf(expf(-fabsf(z))), sigmoid<division>(z)};
    case Activation::Elu:
      return z > 0.f ? Activated{z, 1.f} : Activated{expm1f(z), expf(z)};
    case Activation::Relu:
      return z > 0.f ? Activated{z, 1.f} : Activated{z - z, 0.f};
    case Activation::Square:
      return {z * z, z + z};
    case Activation::Swish: {  // z s(βz)
      const float y = beta * z, s = sigmoid<division>(y);
      return {z * s, s * fmaf(y, 1.f - s, 1.f)};
    }
    case Activation::Identity:
      break;
  }
  return {z, 1.f};
}

/// use(constant) with the activation as a constant: one branch for many entries.
template <class Use>
__device__ __forceinline__ void with_activation(Activation activation, const Use& use) {
  const auto of = [&]<Activation constant>() {
    use(std::integral_constant<Activation, constant>());
  };
  switch (activation) {
    case Activation::Tanh:
      return of.template operator()<Activation::Tanh>();
    case Activation::Softplus:
      return of.template operator()<Activation::Softplus>();
    case Activation::Elu:
      return of.template operator()<Activation::Elu>();
    case Activation::Relu:
      return of.template operator()<Activation::Relu>();
    case Activation::Square:
      return of.template operator()<Activation::Square>();
    case Activation::Swish:
      return of.template operator()<Activation::Swish>();
    case Activation::Identity:
      return of.template operator()<Activation::Identity>();
  }
}

/// The tape gives a = σ(z), and z where bends_preactivation; softplus recovers σ' = 1 − e^−a.
__device__ inline Slopes slopes_of(Activation activation, float a, float z, float beta) {
  switch (activation) {
    case Activation::Tanh:
      return {1.f - a * a, -2.f * a};
    case Activation::Softplus:
      return {-expm1f(-a), expf(-a)};
    case Activation::Elu:
      return a > 0.f ? Slopes{1.f, 0.f} : Slopes{a + 1.f, 1.f};
    case Activation::Relu:
      return {a > 0.f ? 1.f : 0.f, 0.f};
    case Activation::Square:
      return {z + z, 2.f};
    case Activation::Swish: {
      const float y = beta * z, s = sigmoid(y);
      return {s * fmaf(y, 1.f - s, 1.f), beta * (s * (1.f - s)) * fmaf(y, 1.f - s - s, 2.f)};
    }
    case Activation::Identity:
      break;
  }
  return {1.f, 0.f};
}

/// Derivatives of swish: ∂a/∂β = z² s (1 − s) and ∂σ'/∂β = z s (1 − s) (2 + βz (1 − 2s)).
__device__ inline Slopes swish_by_beta(float z, float beta) {
  const float y = beta * z, s = sigmoid(y), w = z * s * (1.f - s);
  return {z * w, w * fmaf(y, 1.f - s - s, 2.f)};
}

}  // namespace ffjord::cuda
