// What a net's outputs make of the rates of a state, and the way back: f, its divergence, the
// regularisers' integrands.
#pragma once

#include "core/regularisers.h"
#include "cuda/device/stream.h"
#include "cuda/step/tape_slot.h"

namespace ffjord::cuda {

/// A row of core/regularisers.h, its scale at the net's dimension.
struct DeviceRegulariser {
  RowSum sum;
  bool root;
  float scale;
};

/// A choice from the table, in its order, as kernels read it.
struct RegulariserList {
  RegulariserList() = default;
  RegulariserList(const Regularisers& regularisers, int dimension);
  __device__ DeviceRegulariser operator[](int i) const { return {sums[i], roots[i], scales[i]}; }

  int count = 0;
  RowSum sums[kRegularisers] = {};
  float scales[kRegularisers] = {};
  bool roots[kRegularisers] = {};
};

/// How the divergence comes about: not at all, from tangents ε_k or e_k, or from d₂ᵀ (M d₁) or cᵀ
/// d₁.
struct FieldArguments {
  Groups groups;
  int batch = 0, dimension = 0;
  int tangents = 0;  ///< K; 0: none were pushed
  float weight = 1;  ///< of a tangent: 1/K of a probe, 1 of a unit vector
  bool residual = false;
  RegulariserList regularisers;
  float direction = 1;  ///< of the regularisers' rates
  int z_stride = 0;
  const float* z = nullptr;        ///< (B, z_stride)
  const float* eps = nullptr;      ///< (K, B, D); null: unit vectors
  TapeSlot slot;                   ///< of what follows
  const float* output = nullptr;   ///< of the net (B, D)
  const float* tangent = nullptr;  ///< of the net (K, B, D)

  /// Closed trace: Σ_j left[j] right[j] over `closed_width`; `closed_left_rows` rows share a
  /// `left`.
  const float *closed_left = nullptr, *closed_right = nullptr;
  int closed_left_rows = 1, closed_width = 0;
  bool closed_left_on_tape = false;
};

/// Where f, its divergence and the regularisers lie in rows of a state; null: not wanted.
template <class Value>
struct FieldColumns {
  Value* f = nullptr;
  int f_stride = 0;
  Value* divergence = nullptr;
  Value* regularisers = nullptr;
  int stride = 0;  ///< of the last two
};

void write_rates(const FieldArguments& arguments, const FieldColumns<float>& rates,
                 const Stream& stream);

/// Seeds of a pullback: cotangents of the net's outputs, `value_bar` (B, D) and `tangent_bar` (K,
/// B, D); z_bar (B, z_bar_stride) begins with `sign` times what reaches z past the net.
struct SeedArguments {
  FieldArguments field;
  FieldColumns<const float> bars;
  float *value_bar = nullptr, *tangent_bar = nullptr;
  float* z_bar = nullptr;
  int z_bar_stride = 0;
  float sign = 1;
  bool adds = false;  ///< to z_bar
};
void write_seeds(const SeedArguments& arguments, const Stream& stream);

}  // namespace ffjord::cuda
