// Transforms of Winograd's F(2 × 2, k × k), k of 3 or 5 (Lavin and Gray 2016): two by two output
// pixels Y of (k + 1)² input pixels d by as many products where 4 k² are direct,
//
//   Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A,
//
//   k = 3: points 0, 1, −1, ∞                   k = 5: points 0, 1, −1, 2, −2, ∞
//   Bᵀ = 1  0 −1  0    G = 1   0   0            Bᵀ = 4  0 −5  0  1  0    G = 1 / 4 (1 0 0 0 0)
//        0  1  1  0        ½   ½   ½                 0 −4 −4  1  1  0       −1 / 6 (1  1 1  1  1)
//        0 −1  1  0        ½  −½   ½                 0  4 −4 −1  1  0       −1 / 6 (1 −1 1 −1  1)
//        0  1  0 −1        0   0   1                 0 −2 −1  2  1  0       1 / 24 (1  2 4  8 16)
//   Aᵀ = 1  1  1  0                                  0  2 −1 −2  1  0       1 / 24 (1 −2 4 −8 16)
//        0  1 −1 −1                                  0  4  0 −5  0  1              (0 0 0 0 1)
//                                               Aᵀ = 1  1  1  1  1  0
//                                                    0  1 −1  2 −2  1
//
// Of 5 × 5 taps, their rounding is six times that of direct products: gradients were wrong by 2e-5
// of their largest, so that no density is computed so. They are sums of vectors, lane by lane. The
// cotangent of g is Gᵀ [Σ (A Ȳ Aᵀ) (Bᵀ d B)ᵀ] G.
#pragma once

#include <array>

#include "cpu/panels.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// The transforms along one axis.
template <int Taps>
struct WinogradAxis;

template <>
struct WinogradAxis<3> {
  static constexpr int kTaps = 3, kPoints = 4;
  static constexpr int kTiles = 2;  ///< of a strip (winograd.h)

  /// G x
  static std::array<double, 4> spread(const std::array<double, 3>& x) {
    return {x[0], (x[0] + x[1] + x[2]) / 2, (x[0] - x[1] + x[2]) / 2, x[2]};
  }
  /// Gᵀ u
  static std::array<double, 3> gather(const std::array<double, 4>& u) {
    return {u[0] + (u[1] + u[2]) / 2, (u[1] - u[2]) / 2, (u[1] + u[2]) / 2 + u[3]};
  }
  /// Bᵀ d
  static void input(const Vec (&d)[4], Vec (&to)[4]) {
    to[0] = d[0] - d[2];
    to[1] = d[1] + d[2];
    to[2] = d[2] - d[1];
    to[3] = d[1] - d[3];
  }
  /// Aᵀ m
  static void output(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
  /// A y
  static void output_bar(Vec first, Vec second, Vec (&to)[4]) {
    to[0] = first;
    to[1] = first + second;
    to[2] = first - second;
    to[3] = -second;
  }
};

template <>
struct WinogradAxis<5> {
  static constexpr int kTaps = 5, kPoints = 6;
  static constexpr int kTiles = 1;

  static std::array<double, 6> spread(const std::array<double, 5>& x) {
    const double even = x[0] + x[2] + x[4], odd = x[1] + x[3];
    const double even2 = x[0] + 4 * x[2] + 16 * x[4], odd2 = 2 * x[1] + 8 * x[3];
    return {
        x[0] / 4, -(even + odd) / 6, -(even - odd) / 6, (even2 + odd2) / 24, (even2 - odd2) / 24,
        x[4]};
  }
  static std::array<double, 5> gather(const std::array<double, 6>& u) {
    const double even = -(u[1] + u[2]) / 6, odd = -(u[1] - u[2]) / 6;
    const double even2 = (u[3] + u[4]) / 24, odd2 = (u[3] - u[4]) / 24;
    return {u[0] / 4 + even + even2, odd + 2 * odd2, even + 4 * even2, odd + 8 * odd2,
            even + 16 * even2 + u[5]};
  }
  static void input(const Vec (&d)[6], Vec (&to)[6]) {
    const Vec two = splat(2.f), four = splat(4.f), five = splat(5.f);
    const Vec even = d[4] - four * d[2], odd = d[3] - four * d[1];
    const Vec even2 = d[4] - d[2], odd2 = two * (d[3] - d[1]);
    to[0] = four * d[0] - five * d[2] + d[4];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = even2 + odd2;
    to[4] = even2 - odd2;
    to[5] = four * d[1] - five * d[3] + d[5];
  }
  static void output(const Vec (&m)[6], Vec (&y)[2]) {
    y[0] = m[0] + (m[1] + m[2]) + (m[3] + m[4]);
    y[1] = (m[1] - m[2]) + splat(2.f) * (m[3] - m[4]) + m[5];
  }
  static void output_bar(Vec first, Vec second, Vec (&to)[6]) {
    const Vec twice = second + second;
    to[0] = first;
    to[1] = first + second;
    to[2] = first - second;
    to[3] = first + twice;
    to[4] = first - twice;
    to[5] = second;
  }
};

namespace winograd {

template <class Axis>
inline constexpr int kPlaces = Axis::kPoints* Axis::kPoints;

/// From place to place of arrays of a strip's tiles: a little more than what may be a power of two,
/// which would put all places into one set of the first cache.
template <class Axis>
constexpr std::size_t place_stride(std::size_t tile) {
  return Axis::kTiles * tile + kFeatureStride;
}

/// G g Gᵀ of g = tap(i, j), row by row.
template <class Axis, class Tap>
std::array<double, kPlaces<Axis>> transform_filter(Tap tap) {
  constexpr int points = Axis::kPoints, taps = Axis::kTaps;
  std::array<std::array<double, taps>, points> rows;
  for (int j = 0; j < taps; ++j) {
    std::array<double, taps> given;
    for (int i = 0; i < taps; ++i) given[i] = tap(i, j);
    const auto column = Axis::spread(given);
    for (int e = 0; e < points; ++e) rows[e][j] = column[e];
  }
  std::array<double, kPlaces<Axis>> places;
  for (int e = 0; e < points; ++e) {
    const auto row = Axis::spread(rows[e]);
    std::copy(row.begin(), row.end(), places.begin() + points * e);
  }
  return places;
}

/// Gᵀ u G of u = place(e), row by row.
template <class Axis, class Place>
std::array<double, Axis::kTaps * Axis::kTaps> gather_filter(Place place) {
  constexpr int points = Axis::kPoints, taps = Axis::kTaps;
  std::array<std::array<double, points>, taps> rows;
  for (int f = 0; f < points; ++f) {
    std::array<double, points> given;
    for (int e = 0; e < points; ++e) given[e] = place(points * e + f);
    const auto column = Axis::gather(given);
    for (int i = 0; i < taps; ++i) rows[i][f] = column[i];
  }
  std::array<double, taps * taps> result;
  for (int i = 0; i < taps; ++i) {
    const auto row = Axis::gather(rows[i]);
    std::copy(row.begin(), row.end(), result.begin() + taps * i);
  }
  return result;
}

/// Bᵀ d B of `vectors` vectors a pixel → an array a place, `place_stride` apart.
template <class Axis>
void transform_input(const float* pixels, std::size_t row_stride, std::size_t pixel_stride,
                     int vectors, float* to, std::size_t place_stride) {
  constexpr int points = Axis::kPoints;
  for (int v = 0; v < vectors; ++v, pixels += kLanes, to += kLanes) {
    Vec rows[points][points];
#pragma GCC unroll 6
    for (int j = 0; j < points; ++j) {
      Vec column[points], turned[points];
#pragma GCC unroll 6
      for (int i = 0; i < points; ++i) column[i] = load(pixels + j * pixel_stride + i * row_stride);
      Axis::input(column, turned);
#pragma GCC unroll 6
      for (int e = 0; e < points; ++e) rows[e][j] = turned[e];
    }
#pragma GCC unroll 6
    for (int e = 0; e < points; ++e) {
      Vec turned[points];
      Axis::input(rows[e], turned);
#pragma GCC unroll 6
      for (int f = 0; f < points; ++f)
        store(to + std::size_t(points * e + f) * place_stride, turned[f]);
    }
  }
}

/// Aᵀ m A of an array a place → `rows` × `columns` pixels, at most two by two.
template <class Axis>
void transform_output(const float* from, std::size_t place_stride, int vectors, float* to,
                      std::size_t row_stride, std::size_t pixel_stride, int rows, int columns) {
  constexpr int points = Axis::kPoints;
  for (int v = 0; v < vectors; ++v, from += kLanes, to += kLanes) {
    Vec sums[2][points];
#pragma GCC unroll 6
    for (int f = 0; f < points; ++f) {
      Vec column[points], turned[2];
#pragma GCC unroll 6
      for (int e = 0; e < points; ++e)
        column[e] = load(from + std::size_t(points * e + f) * place_stride);
      Axis::output(column, turned);
      sums[0][f] = turned[0];
      sums[1][f] = turned[1];
    }
    for (int y = 0; y < rows; ++y) {
      Vec pixels[2];
      Axis::output(sums[y], pixels);
      store(to + y * row_stride, pixels[0]);
      if (columns > 1) store(to + y * row_stride + pixel_stride, pixels[1]);
    }
  }
}

/// A y Aᵀ of two by two pixels → an array a place.
template <class Axis>
void spread_output(const float* pixels, std::size_t row_stride, std::size_t pixel_stride,
                   std::size_t floats, float* to, std::size_t place_stride) {
  constexpr int points = Axis::kPoints;
  for (std::size_t i = 0; i < floats; i += kLanes) {
    const float* const from = pixels + i;
    Vec left[points], right[points];
    Axis::output_bar(load(from), load(from + row_stride), left);
    Axis::output_bar(load(from + pixel_stride), load(from + row_stride + pixel_stride), right);
#pragma GCC unroll 6
    for (int e = 0; e < points; ++e) {
      Vec turned[points];
      Axis::output_bar(left[e], right[e], turned);
#pragma GCC unroll 6
      for (int f = 0; f < points; ++f)
        store(to + i + std::size_t(points * e + f) * place_stride, turned[f]);
    }
  }
}

}  // namespace winograd

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
