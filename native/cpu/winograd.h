// 3 × 3 convolutions of stride 1 by Winograd's F(2 × 2, 3 × 3) (Lavin and Gray 2016): two by two
// output pixels Y of four by four input pixels d by 16 products where 36 are direct,
//
//   Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A,
//   Bᵀ = 1  0 −1  0    G = 1   0   0    Aᵀ = 1  1  1  0
//        0  1  1  0        ½   ½   ½         0  1 −1 −1
//        0 −1  1  0        ½  −½   ½
//        0  1  0 −1        0   0   1
//
// Products of all channels at one of the 16 places are one product of matrices. The transforms are
// sums of vectors, lane by lane: 8 in + 6 out of them a pixel, against 4 in · out multiply-adds.
// The cotangent of g is Gᵀ [Σ (A Ȳ Aᵀ) (Bᵀ d B)ᵀ] G, of which the sum over tiles and evaluations is
// kept before G. A strip of two tiles of 64 channels, its products and 64 × 64 matrices take 0.8 MB
// of the second cache with 16 lanes; strips of 4 tiles were 6 % slower, of 7 tiles 22 %.
#pragma once

#include <array>

#include "cpu/images.h"
#include "cpu/product.h"
#include "cpu/weight_gradient.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

namespace winograd {

inline constexpr int kPlaces = 16;
inline constexpr int kTiles = 2;  ///< of a strip

/// From place to place of arrays of a strip's tiles: a little more than what may be a power of two,
/// which would put all 16 into one set of the first cache.
constexpr std::size_t place_stride(std::size_t tile) { return kTiles * tile + kFeatureStride; }

/// G x of three numbers.
inline std::array<double, 4> spread(const std::array<double, 3>& x) {
  return {x[0], (x[0] + x[1] + x[2]) / 2, (x[0] - x[1] + x[2]) / 2, x[2]};
}
/// Gᵀ x of four numbers.
inline std::array<double, 3> gather(const std::array<double, 4>& x) {
  return {x[0] + (x[1] + x[2]) / 2, (x[1] - x[2]) / 2, (x[1] + x[2]) / 2 + x[3]};
}

/// G g Gᵀ of g = tap(i, j), row by row.
template <class Tap>
std::array<double, kPlaces> transform_filter(Tap tap) {
  std::array<std::array<double, 3>, 4> rows;
  for (int j = 0; j < 3; ++j) {
    const auto column = spread({tap(0, j), tap(1, j), tap(2, j)});
    for (int e = 0; e < 4; ++e) rows[e][j] = column[e];
  }
  std::array<double, kPlaces> places;
  for (int e = 0; e < 4; ++e) {
    const auto row = spread(rows[e]);
    std::copy(row.begin(), row.end(), places.begin() + 4 * e);
  }
  return places;
}

/// Gᵀ u G of u = place(e), as result[3 i + j].
template <class Place>
std::array<double, 9> gather_filter(Place place) {
  std::array<std::array<double, 4>, 3> rows;
  for (int f = 0; f < 4; ++f) {
    const auto column = gather({place(f), place(4 + f), place(8 + f), place(12 + f)});
    for (int i = 0; i < 3; ++i) rows[i][f] = column[i];
  }
  std::array<double, 9> taps;
  for (int i = 0; i < 3; ++i) {
    const auto row = gather(rows[i]);
    std::copy(row.begin(), row.end(), taps.begin() + 3 * i);
  }
  return taps;
}

/// Bᵀ d B of `vectors` vectors a pixel → 16 arrays, `place_stride` apart.
inline void transform_input(const float* pixels, std::size_t row_stride, std::size_t pixel_stride,
                            int vectors, float* to, std::size_t place_stride) {
  for (int v = 0; v < vectors; ++v, pixels += kLanes, to += kLanes) {
    Vec rows[4][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const float* const column = pixels + j * pixel_stride;
      const Vec d0 = load(column), d1 = load(column + row_stride);
      const Vec d2 = load(column + 2 * row_stride), d3 = load(column + 3 * row_stride);
      rows[0][j] = d0 - d2;
      rows[1][j] = d1 + d2;
      rows[2][j] = d2 - d1;
      rows[3][j] = d1 - d3;
    }
#pragma GCC unroll 4
    for (int e = 0; e < 4; ++e) {
      float* const row = to + 4 * e * place_stride;
      store(row, rows[e][0] - rows[e][2]);
      store(row + place_stride, rows[e][1] + rows[e][2]);
      store(row + 2 * place_stride, rows[e][2] - rows[e][1]);
      store(row + 3 * place_stride, rows[e][1] - rows[e][3]);
    }
  }
}

/// Aᵀ m A of 16 arrays → `rows` × `columns` pixels, at most two by two.
inline void transform_output(const float* from, std::size_t place_stride, int vectors, float* to,
                             std::size_t row_stride, std::size_t pixel_stride, int rows,
                             int columns) {
  for (int v = 0; v < vectors; ++v, from += kLanes, to += kLanes) {
    Vec sums[2][4];
#pragma GCC unroll 4
    for (int f = 0; f < 4; ++f) {
      const float* const place = from + f * place_stride;
      const Vec m0 = load(place), m1 = load(place + 4 * place_stride);
      const Vec m2 = load(place + 8 * place_stride), m3 = load(place + 12 * place_stride);
      sums[0][f] = m0 + m1 + m2;
      sums[1][f] = m1 - m2 - m3;
    }
    for (int y = 0; y < rows; ++y) {
      store(to + y * row_stride, sums[y][0] + sums[y][1] + sums[y][2]);
      if (columns > 1)
        store(to + y * row_stride + pixel_stride, sums[y][1] - sums[y][2] - sums[y][3]);
    }
  }
}

/// A y Aᵀ of two by two pixels → 16 arrays.
inline void spread_output(const float* pixels, std::size_t row_stride, std::size_t pixel_stride,
                          std::size_t floats, float* to, std::size_t place_stride) {
  for (std::size_t i = 0; i < floats; i += kLanes) {
    const float* const from = pixels + i;
    const Vec y00 = load(from), y01 = load(from + pixel_stride);
    const Vec y10 = load(from + row_stride), y11 = load(from + row_stride + pixel_stride);
    const Vec rows[4][2] = {
        {y00, y01}, {y00 + y10, y01 + y11}, {y00 - y10, y01 - y11}, {-y10, -y11}};
#pragma GCC unroll 4
    for (int e = 0; e < 4; ++e) {
      float* const row = to + i + 4 * e * place_stride;
      store(row, rows[e][0]);
      store(row + place_stride, rows[e][0] + rows[e][1]);
      store(row + 2 * place_stride, rows[e][0] - rows[e][1]);
      store(row + 3 * place_stride, -rows[e][1]);
    }
  }
}

}  // namespace winograd

/// Tiles of two by two output pixels, and where their input begins.
struct WinogradPlan {
  Plane out;                   ///< of the map
  int from_y = 0, from_x = 0;  ///< input pixel of the first tile

  int rows() const { return (out.height + 1) / 2; }
  int columns() const { return (out.width + 1) / 2; }

  /// Calls visit(y, x, tiles) for strips of tiles, (y, x) the first output pixel.
  template <class Visit>
  void for_each_strip(Visit visit) const {
    for (int row = 0; row < rows(); ++row)
      for (int column = 0; column < columns(); column += winograd::kTiles)
        visit(2 * row, 2 * column, std::min(winograd::kTiles, columns() - column));
  }
};

class WinogradConvolution {
 public:
  /// `element(out, in, i, j)` is W at tap (i, j) of the input's pixels.
  template <class Element>
  void pack(const WinogradPlan& plan, int out, int stored, Element element) {
    plan_ = plan;
    weights_.resize(winograd::kPlaces);
    for (PackedMatrix& matrix : weights_) matrix.resize(out, stored);
    for (int row = 0; row < out; ++row)
      for (int k = 0; k < stored; ++k) {
        const auto places =
            winograd::transform_filter([&](int i, int j) { return double(element(row, k, i, j)); });
        for (int e = 0; e < winograd::kPlaces; ++e) {
          int step;
          float* const to = weights_[e].row_start(row, step);
          to[std::size_t(k) * step] = static_cast<float>(places[e]);
        }
      }
  }

  std::size_t scratch(int in_stored, int out_stored) const {
    return winograd::kPlaces * (winograd::place_stride(std::size_t(in_stored) * kFeatureStride) +
                                winograd::place_stride(std::size_t(out_stored) * kFeatureStride));
  }

  /// out = W in; `behind` as in convolve().
  template <class Behind>
  void run(const Images& in, const Images& out, int panels, float* scratch, Behind behind) const {
    const std::size_t in_pixel = in.layout.pixel_stride(), out_pixel = out.layout.pixel_stride();
    const std::size_t in_place = winograd::place_stride(in_pixel),
                      out_place = winograd::place_stride(out_pixel);
    float* const transformed = scratch;
    float* const products = scratch + winograd::kPlaces * in_place;
    const int channels = weights_.front().rows;
    plan_.for_each_strip([&](int y, int x, int tiles) {
      const Panels from = in.pixel(plan_.from_y + y, plan_.from_x + x), to = out.pixel(y, x);
      const int rows = std::min(2, plan_.out.height - y);
      for (int panel = 0; panel < panels; ++panel) {
        for (int tile = 0; tile < tiles; ++tile)
          winograd::transform_input(from.data + panel * from.stride + 2 * tile * in_pixel,
                                    in.layout.row_stride(), in_pixel,
                                    kPanelColumns * in.layout.channels,
                                    transformed + tile * in_pixel, in_place);
        for (int e = 0; e < winograd::kPlaces; ++e) {
          const float* const source = transformed + e * in_place;
          float* const target = products + e * out_place;
          for (int block = 0; block <= weights_[e].full_blocks(); ++block)
            multiply_rows(
                weights_[e], block,
                {source, source + kLanes, in_pixel, target, target + kLanes, out_pixel, tiles});
        }
        for (int tile = 0; tile < tiles; ++tile)
          winograd::transform_output(
              products + tile * out_pixel, out_place, kPanelColumns * channels,
              to.data + panel * to.stride + 2 * tile * out_pixel, out.layout.row_stride(),
              out_pixel, rows, std::min(2, plan_.out.width - x - 2 * tile));
      }
      for (int row = 0; row < rows; ++row)
        for (int column = 0; column < std::min(2 * tiles, plan_.out.width - x); ++column)
          behind(y + row, x + column, 0, channels);
    });
  }

  // Sums of the cotangent of G g Gᵀ lie as [place][in][padded out].

  static std::size_t sums_size(int in_stored, int out_stored) {
    return std::size_t(winograd::kPlaces) * in_stored * padded_features(out_stored);
  }
  static std::size_t gradient_scratch(int in_stored, int out_stored) {
    const std::size_t transposed = std::size_t(kFeatureStride) * padded_features(out_stored);
    return winograd::kPlaces * (winograd::place_stride(std::size_t(in_stored) * kFeatureStride) +
                                winograd::place_stride(transposed)) +
           4 * transposed;
  }

  void accumulate(const Images& in, const Images& out_bar, int panels, float* sums,
                  float* scratch) const {
    const int in_stored = in.layout.channels, out_stored = out_bar.layout.channels;
    const int width = padded_features(out_stored);
    const std::size_t in_pixel = in.layout.pixel_stride(),
                      in_place = winograd::place_stride(in_pixel);
    const std::size_t out_pixel = std::size_t(kFeatureStride) * width,
                      out_place = winograd::place_stride(out_pixel);
    float* const transformed = scratch;
    float* const spread = transformed + winograd::kPlaces * in_place;
    float* const pixels = spread + winograd::kPlaces * out_place;
    for (int panel = 0; panel < panels; ++panel)
      plan_.for_each_strip([&](int y, int x, int tiles) {
        const Panels from = in.pixel(plan_.from_y + y, plan_.from_x + x);
        for (int tile = 0; tile < tiles; ++tile) {
          winograd::transform_input(from.data + panel * from.stride + 2 * tile * in_pixel,
                                    in.layout.row_stride(), in_pixel, kPanelColumns * in_stored,
                                    transformed + tile * in_pixel, in_place);
          for (int pixel = 0; pixel < 4; ++pixel) {
            const Panels bar = out_bar.pixel(y + pixel / 2, x + 2 * tile + pixel % 2);
            transpose_pixel(bar.data + panel * bar.stride, out_stored, width,
                            pixels + pixel * out_pixel);
          }
          winograd::spread_output(pixels, 2 * out_pixel, out_pixel, out_pixel,
                                  spread + tile * out_pixel, out_place);
        }
        for (int e = 0; e < winograd::kPlaces; ++e)
          for (int k = 0; k < width; k += 2 * kLanes)
            accumulate_outer_rows<kLongOuterRows>(
                {.c = sums + std::size_t(e) * in_stored * width + k,
                 .c_stride = width,
                 .p = transformed + e * in_place,
                 .p_row_stride = kFeatureStride,
                 .p_run_stride = in_pixel,
                 .a = spread + e * out_place + k,
                 .a_stride = width,
                 .a_run_stride = out_pixel,
                 .runs = tiles,
                 .length = kFeatureStride},
                in_stored);
      });
  }

  /// The nine taps' cotangents of W[out, in], row by row.
  static std::array<double, 9> taps(const float* sums, int in_stored, int out_stored, int out,
                                    int in) {
    const std::size_t width = padded_features(out_stored);
    return winograd::gather_filter(
        [&](int e) { return double(sums[(std::size_t(e) * in_stored + in) * width + out]); });
  }

 private:
  WinogradPlan plan_;
  std::vector<PackedMatrix> weights_;  // G g Gᵀ, a matrix a place
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
