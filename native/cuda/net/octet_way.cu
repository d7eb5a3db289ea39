#include "cuda/net/octet_way.h"
#include "cuda/net/taps.h"
#include "cuda/net/tile_rows.h"

namespace ffjord::cuda {
namespace {

// Where one way is better than another, by what bench/gpu/predict-images.js predicts for an H200 of
// a layer at 28 × 28, 200 images, value and tangent: no card has run them.
struct Choices {
  /// 64 → 1 with taps for units: 66 µs, and 155 to add them up; over taps and channels 431.
  int most_tap_units = kMostTapUnits;
  /// 1 → 64 in float32: 214 µs; padded to a chunk of 32, 321 and what it takes to split the input.
  int most_few_channels = FewChannels::kMost;
  int least_depth = LargeTile::kDepth;
};
constexpr Choices kChoices;

bool is_three(const LinearMap& map) {
  const Convolution& at = map.convolution;
  return !map.is_dense && !at.transposed && at.kernel == Plane{3, 3} && at.stride == 1 &&
         at.padding == 1 && at.output_padding == 0;
}

OctetWay way_of(const Layer& layer, int depth, int units, const CudaOptions& options) {
  if (layer.hyper() || layer.expanded() || chosen_products(options) == Products::Float32)
    return OctetWay::None;
  const bool is_deep = depth >= kChoices.least_depth;
  if (meets_itself(layer.map)) return is_deep ? OctetWay::Depth : OctetWay::None;
  if (!is_three(layer.map)) return OctetWay::None;
  if (is_deep) return units <= kChoices.most_tap_units ? OctetWay::TapUnits : OctetWay::Depth;
  const bool is_few = depth <= kChoices.most_few_channels && units > SmallTile::kUnits &&
                      layer.map.plane_out.width <= FewChannels::kMostWidth;
  return is_few ? OctetWay::FewChannels : OctetWay::None;
}

OctetLines weights_by(OctetWay way, const Layer& layer, int depth, int units) {
  OctetLines weights;
  weights.depth = depth;
  if (way == OctetWay::Depth) {
    weights.lines = units;
    weights.taps = layer.taps();
  } else if (way == OctetWay::TapUnits) {
    weights.lines = layer.taps() * units;
  }
  return weights;
}

OctetFactors factors_by(const Layer& layer, const OctetRows& rows, const OctetLines& weights,
                        bool transposed) {
  OctetFactors factors{rows, weights, {}, 0};
  if (meets_itself(layer.map)) return factors;
  factors.taps = OctetTaps::of_three(rows.lines, transposed);
  if (weights.taps == 1) factors.tap_units = weights.lines / layer.taps();
  return factors;
}

}  // namespace

OctetWay octet_way(const Layer& layer, const CudaOptions& options) {
  return way_of(layer, layer.in(), layer.out(), options);
}

OctetWay octet_way_back(const Layer& layer, const CudaOptions& options) {
  return way_of(layer, layer.out(), layer.in(), options);
}

Plane kept_image(const Layer& layer) {
  return is_three(layer.map) ? layer.map.plane_out : Plane{0, 0};
}

bool take_octets(const Groups& groups, int rows) {
  return groups.count == 1 && rows > SmallTile::kRows;
}

RowLines lines_of(const Layer& layer, int samples) {
  return layer.map.is_dense ? RowLines::of_rows(samples)
                            : RowLines::of_pixels(layer.map.plane_out, samples);
}

OctetLines octet_weights(const Layer& layer, const CudaOptions& options) {
  return weights_by(octet_way(layer, options), layer, layer.in(), layer.out());
}

OctetLines octet_weights_back(const Layer& layer, const CudaOptions& options) {
  return weights_by(octet_way_back(layer, options), layer, layer.out(), layer.in());
}

OctetFactors factors_of(const Layer& layer, const OctetRows& rows, const OctetLines& weights) {
  return factors_by(layer, rows, weights, false);
}

OctetFactors factors_back(const Layer& layer, const OctetRows& rows, const OctetLines& weights) {
  return factors_by(layer, rows, weights, true);
}

}  // namespace ffjord::cuda
