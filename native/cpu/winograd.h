// Convolutions of stride 1 and 3 × 3 or 5 × 5 taps by Winograd's transforms
// (winograd_transforms.h): products of all channels at one of the 16 or 36 places are one product
// of matrices.
//
// For 3 × 3 taps the transforms are 8 in + 6 out sums of vectors a pixel, against 4 in · out
// multiply-adds. The sum of a gradient over tiles and evaluations is kept before Gᵀ and G. A strip
// of two tiles of 64 channels, its products and 64 × 64 matrices take 0.8 MB of the second cache
// with 16 lanes; strips of 4 tiles were 6 % slower, of 7 tiles 22 %. Of 36 places one tile of 32
// and 64 channels takes 0.7 MB.
#pragma once

#include <vector>

#include "cpu/images.h"
#include "cpu/product.h"
#include "cpu/weight_gradient.h"
#include "cpu/winograd_transforms.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// Tiles of two by two output pixels, and where their input begins.
struct WinogradPlan {
  Plane out;                   ///< of the map
  int from_y = 0, from_x = 0;  ///< input pixel of the first tile
  int taps = 3;                ///< of an axis

  int rows() const { return (out.height + 1) / 2; }
  int columns() const { return (out.width + 1) / 2; }

  /// Calls visit(y, x, tiles) for strips of tiles, (y, x) the first output pixel.
  template <class Axis, class Visit>
  void for_each_strip(Visit visit) const {
    for (int row = 0; row < rows(); ++row)
      for (int column = 0; column < columns(); column += Axis::kTiles)
        visit(2 * row, 2 * column, std::min(Axis::kTiles, columns() - column));
  }
};

class WinogradConvolution {
  template <class Call>
  decltype(auto) with_axis(Call call) const {
    return plan_.taps == 5 ? call(WinogradAxis<5>()) : call(WinogradAxis<3>());
  }

 public:
  WinogradConvolution() = default;
  explicit WinogradConvolution(const WinogradPlan& plan) : plan_(plan) {}

  /// `element(out, in, i, j)` is W at tap (i, j) of the input's pixels.
  template <class Element>
  void pack(int out, int stored, Element element) {
    with_axis([&]<class Axis>(Axis) {
      weights_.resize(winograd::kPlaces<Axis>);
      for (PackedMatrix& matrix : weights_)
        if (matrix.rows != out || matrix.depth != stored) matrix.resize(out, stored);
      for (int row = 0; row < out; ++row)
        for (int k = 0; k < stored; ++k) {
          const auto places = winograd::transform_filter<Axis>(
              [&](int i, int j) { return double(element(row, k, i, j)); });
          for (int e = 0; e < winograd::kPlaces<Axis>; ++e) {
            int step;
            float* const to = weights_[e].row_start(row, step);
            to[std::size_t(k) * step] = static_cast<float>(places[e]);
          }
        }
    });
  }

  std::size_t scratch(int in_stored, int out_stored) const {
    return with_axis([&]<class Axis>(Axis) {
      return winograd::kPlaces<Axis> *
             (winograd::place_stride<Axis>(std::size_t(in_stored) * kFeatureStride) +
              winograd::place_stride<Axis>(std::size_t(out_stored) * kFeatureStride));
    });
  }

  /// out = W in; `behind` as in convolve().
  template <class Behind>
  void run(const Images& in, const Images& out, int panels, float* scratch, Behind behind) const {
    with_axis([&]<class Axis>(Axis) { run_tiles<Axis>(in, out, panels, scratch, behind); });
  }

  // Sums of the cotangent of G g Gᵀ lie as [place][in][padded out].

  std::size_t sums_size(int in_stored, int out_stored) const {
    return std::size_t(places()) * in_stored * padded_features(out_stored);
  }
  std::size_t gradient_scratch(int in_stored, int out_stored) const {
    const std::size_t transposed = std::size_t(kFeatureStride) * padded_features(out_stored);
    return with_axis([&]<class Axis>(Axis) {
      return winograd::kPlaces<Axis> *
                 (winograd::place_stride<Axis>(std::size_t(in_stored) * kFeatureStride) +
                  winograd::place_stride<Axis>(transposed)) +
             4 * transposed;
    });
  }

  /// Of each panel, the first `rows` rows count; those behind are zero in one of the images.
  void accumulate(const Images& in, const Images& out_bar, int panels, float* sums, float* scratch,
                  int rows = kFeatureStride) const {
    with_axis([&]<class Axis>(Axis) {
      accumulate_tiles<Axis>(in, out_bar, panels, rows, sums, scratch);
    });
  }

  /// Calls visit(i, j, cotangent) for the taps of W[out, in].
  template <class Visit>
  void for_each_tap(const float* sums, int in_stored, int out_stored, int out, int in,
                    Visit visit) const {
    const std::size_t width = padded_features(out_stored);
    with_axis([&]<class Axis>(Axis) {
      const auto taps = winograd::gather_filter<Axis>(
          [&](int e) { return double(sums[(std::size_t(e) * in_stored + in) * width + out]); });
      for (int tap = 0; tap < int(taps.size()); ++tap)
        visit(tap / Axis::kTaps, tap % Axis::kTaps, static_cast<float>(taps[tap]));
    });
  }

 private:
  int places() const { return (plan_.taps + 1) * (plan_.taps + 1); }

  template <class Axis, class Behind>
  void run_tiles(const Images& in, const Images& out, int panels, float* scratch,
                 Behind behind) const {
    const std::size_t in_pixel = in.layout.pixel_stride(), out_pixel = out.layout.pixel_stride();
    const std::size_t in_place = winograd::place_stride<Axis>(in_pixel),
                      out_place = winograd::place_stride<Axis>(out_pixel);
    float* const transformed = scratch;
    float* const products = scratch + winograd::kPlaces<Axis> * in_place;
    const int channels = weights_.front().rows;
    plan_.for_each_strip<Axis>([&](int y, int x, int tiles) {
      const Panels from = in.pixel(plan_.from_y + y, plan_.from_x + x), to = out.pixel(y, x);
      const int rows = std::min(2, plan_.out.height - y);
      for (int panel = 0; panel < panels; ++panel) {
        for (int tile = 0; tile < tiles; ++tile)
          winograd::transform_input<Axis>(from.data + panel * from.stride + 2 * tile * in_pixel,
                                          in.layout.row_stride(), in_pixel,
                                          kPanelColumns * in.layout.channels,
                                          transformed + tile * in_pixel, in_place);
        for (int e = 0; e < winograd::kPlaces<Axis>; ++e) {
          const float* const source = transformed + e * in_place;
          float* const target = products + e * out_place;
          for (int block = 0; block <= weights_[e].full_blocks(); ++block)
            multiply_rows(
                weights_[e], block,
                {source, source + kLanes, in_pixel, target, target + kLanes, out_pixel, tiles});
        }
        for (int tile = 0; tile < tiles; ++tile)
          winograd::transform_output<Axis>(
              products + tile * out_pixel, out_place, kPanelColumns * channels,
              to.data + panel * to.stride + 2 * tile * out_pixel, out.layout.row_stride(),
              out_pixel, rows, std::min(2, plan_.out.width - x - 2 * tile));
      }
      for (int row = 0; row < rows; ++row)
        for (int column = 0; column < std::min(2 * tiles, plan_.out.width - x); ++column)
          behind(y + row, x + column, 0, channels);
    });
  }

  template <class Axis>
  void accumulate_tiles(const Images& in, const Images& out_bar, int panels, int rows, float* sums,
                        float* scratch) const {
    const int in_stored = in.layout.channels, out_stored = out_bar.layout.channels;
    const int width = padded_features(out_stored);
    const std::size_t in_pixel = in.layout.pixel_stride(),
                      in_place = winograd::place_stride<Axis>(in_pixel);
    const std::size_t out_pixel = std::size_t(kFeatureStride) * width,
                      out_place = winograd::place_stride<Axis>(out_pixel);
    float* const transformed = scratch;
    float* const spread = transformed + winograd::kPlaces<Axis> * in_place;
    float* const pixels = spread + winograd::kPlaces<Axis> * out_place;
    for (int panel = 0; panel < panels; ++panel)
      plan_.for_each_strip<Axis>([&](int y, int x, int tiles) {
        const Panels from = in.pixel(plan_.from_y + y, plan_.from_x + x);
        for (int tile = 0; tile < tiles; ++tile) {
          winograd::transform_input<Axis>(
              from.data + panel * from.stride + 2 * tile * in_pixel, in.layout.row_stride(),
              in_pixel, kPanelColumns * in_stored, transformed + tile * in_pixel, in_place);
          for (int pixel = 0; pixel < 4; ++pixel) {
            const Panels bar = out_bar.pixel(y + pixel / 2, x + 2 * tile + pixel % 2);
            transpose_pixel(bar.data + panel * bar.stride, out_stored, width,
                            pixels + pixel * out_pixel);
          }
          winograd::spread_output<Axis>(pixels, 2 * out_pixel, out_pixel, out_pixel,
                                        spread + tile * out_pixel, out_place);
        }
        for (int e = 0; e < winograd::kPlaces<Axis>; ++e)
          for (int k = 0; k < width; k += 2 * kLanes)
            accumulate_outer_rows({.c = sums + std::size_t(e) * in_stored * width + k,
                                   .c_stride = width,
                                   .p = transformed + e * in_place,
                                   .p_row_stride = kFeatureStride,
                                   .p_run_stride = in_pixel,
                                   .a = spread + e * out_place + k,
                                   .a_stride = width,
                                   .a_run_stride = out_pixel,
                                   .runs = tiles,
                                   .length = rows},
                                  in_stored);
      });
  }

  WinogradPlan plan_;
  std::vector<PackedMatrix> weights_;  // G g Gᵀ, a matrix a place
};

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
