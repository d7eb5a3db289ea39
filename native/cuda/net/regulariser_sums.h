// The sums over a row that regularisers are made of (core/regularisers.h), and their pullback. A
// row's lanes share its channels: each holds every Lanes-th.
#pragma once

#include "core/regularisers.h"
#include "cuda/net/field.h"
#include "cuda/step/row_lanes.h"

namespace ffjord::cuda {

/// f and its tangents J ε_k at one row: a residual net's field is less z, its tangents less ε_k.
/// The functions below take any type of this shape.
template <int Lanes>
struct RowField {
  static constexpr int kLanes = Lanes;
  const FieldArguments& s;
  const RowLane<Lanes>& at;
  int end;              ///< D; 0 where the row rests, so that its lanes only take part in sums
  std::ptrdiff_t slot;  ///< of the output and its tangents

  __device__ int lane() const { return at.lane; }
  __device__ int tangents() const { return s.tangents; }
  __device__ float weight() const { return s.weight; }
  __device__ float eps(int k, int i) const {
    if (!s.eps) return i == k ? 1.f : 0.f;
    return s.eps[entry(k, i)];
  }
  __device__ float velocity(int i) const {
    const float output = s.output[slot + entry(0, i)];
    return s.residual ? output - s.z[std::size_t(at.row) * s.z_stride + i] : output;
  }
  /// This is J_ik where tangents are unit vectors.
  __device__ float tangent(int k, int i) const {
    const float tangent = s.tangent[slot + entry(k, i)];
    return s.residual ? tangent - eps(k, i) : tangent;
  }
  __device__ std::size_t entry(int k, int i) const {
    return (std::size_t(k) * s.batch + at.row) * s.dimension + i;
  }
  __device__ static float sum_of_lanes(float value) { return RowLane<Lanes>::sum(value); }
};

/// Σ of term(i) over the row.
template <class Field, class Term>
__device__ float sum_over(const Field& field, const Term& term) {
  float sum = 0.f;
#pragma unroll 1
  for (int i = field.lane(); i < field.end; i += Field::kLanes) sum += term(i);
  return field.sum_of_lanes(sum);
}

/// (fᵀJ)_k
template <class Field>
__device__ float along(const Field& field, int k) {
  return sum_over(field, [&](int i) { return field.velocity(i) * field.tangent(k, i); });
}

__device__ inline float square(float value) { return value * value; }

/// All lanes of the row take part. Bytes: the row's tangents once, where the sum is made of them.
template <class Field>
__device__ float row_sum(RowSum kind, const Field& field) {
  const int tangents = field.tangents();
  switch (kind) {
    case RowSum::AbsoluteVelocity:
      return sum_over(field, [&](int i) { return fabsf(field.velocity(i)); });
    case RowSum::SquaredVelocity:
      return sum_over(field, [&](int i) { return square(field.velocity(i)); });
    case RowSum::SquaredTangents:
      return field.weight() * sum_over(field, [&](int i) {
               float sum = 0.f;
               for (int k = 0; k < tangents; ++k) sum += square(field.tangent(k, i));
               return sum;
             });
    case RowSum::SquaredDiagonal:
      return sum_over(field, [&](int i) { return square(field.tangent(i, i)); });
    case RowSum::SquaredOffDiagonal:
      return sum_over(field, [&](int i) {
        float sum = 0.f;
        for (int k = 0; k < tangents; ++k)
          if (k != i) sum += square(field.tangent(k, i));
        return sum;
      });
    case RowSum::SquaredDirectional: {
      float sum = 0.f;
      for (int k = 0; k < tangents; ++k) sum += square(along(field, k));
      return sum;
    }
  }
  return 0.f;
}

template <class Field>
__device__ float integrand(const DeviceRegulariser& regulariser, const Field& field) {
  const float sum = row_sum(regulariser.sum, field);
  return regulariser.scale * (regulariser.root ? sqrtf(sum) : sum);
}

/// Adds to the cotangents of f and of its tangents, which lie as `entry` has them. All lanes of the
/// row take part; a lane reads and writes its own channels alone.
template <class Field>
__device__ void pull_integrand(const DeviceRegulariser& regulariser, const Field& field,
                               float integrand_bar, float* f_bar, float* tangent_bar) {
  float bar = regulariser.scale * integrand_bar;
  if (regulariser.root) {
    const float root = sqrtf(row_sum(regulariser.sum, field));
    bar = root > 0.f ? bar / (root + root) : 0.f;
  }
  const int tangents = field.tangents();
  const auto for_each = [&](const auto& visit) {
    for (int i = field.lane(); i < field.end; i += Field::kLanes) visit(i);
  };
  const auto add_velocity = [&](int i, float value) { f_bar[field.entry(0, i)] += value; };
  const auto add_tangent = [&](int k, int i, float value) {
    tangent_bar[field.entry(k, i)] += value;
  };
  switch (regulariser.sum) {
    case RowSum::AbsoluteVelocity:
      return for_each([&](int i) {
        const float f = field.velocity(i);
        add_velocity(i, f > 0.f ? bar : f < 0.f ? -bar : 0.f);
      });
    case RowSum::SquaredVelocity:
      return for_each([&](int i) { add_velocity(i, 2 * bar * field.velocity(i)); });
    case RowSum::SquaredTangents:
      return for_each([&](int i) {
        for (int k = 0; k < tangents; ++k)
          add_tangent(k, i, 2 * field.weight() * bar * field.tangent(k, i));
      });
    case RowSum::SquaredDiagonal:
      return for_each([&](int i) { add_tangent(i, i, 2 * bar * field.tangent(i, i)); });
    case RowSum::SquaredOffDiagonal:
      return for_each([&](int i) {
        for (int k = 0; k < tangents; ++k)
          if (k != i) add_tangent(k, i, 2 * bar * field.tangent(k, i));
      });
    case RowSum::SquaredDirectional:
      for (int k = 0; k < tangents; ++k) {
        const float along_bar = 2 * bar * along(field, k);
        for_each([&](int i) {
          add_velocity(i, along_bar * field.tangent(k, i));
          add_tangent(k, i, along_bar * field.velocity(i));
        });
      }
  }
}

}  // namespace ffjord::cuda
