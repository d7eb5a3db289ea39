#include "cuda/net/taps.h"

namespace ffjord::cuda {
namespace {

// Where an output's row or column begins to read along one side, and which taps meet the input.
struct Side {
  int first;
  unsigned mask;
};

Side gather_side(const Convolution& at, int taps, int to, int length) {
  const int first = to * at.stride - at.padding;
  unsigned mask = 0;
  for (int i = 0; i < taps; ++i)
    if (first + i >= 0 && first + i < length) mask |= 1u << i;
  return {first, mask};
}

Side scatter_side(const Convolution& at, int taps, int to, int length) {
  const int first = to + at.padding;
  unsigned mask = 0;
  for (int i = first % at.stride; i < taps; i += at.stride)
    if (i <= first && (first - i) / at.stride < length) mask |= 1u << i;
  return {first / at.stride, mask};
}

// A convolution gathers where `from` is its wide plane.
Walk walk(const Convolution& at, bool gathers, int channels, const Plane& from, const Plane& to) {
  Walk walk;
  Taps& taps = walk.taps;
  const int direction = gathers ? channels : -channels;
  taps.depth = static_cast<int>(at.kernel.size()) * channels;
  taps.channels = channels;
  taps.size = static_cast<int>(from.size()) * channels;
  taps.row_step = direction * from.width;
  taps.column_step = direction;
  taps.by_channels = Divider(channels);
  taps.by_kernel_width = Divider(at.kernel.width);
  taps.by_stride = Divider(gathers ? 1 : at.stride);
  taps.by_pixels = Divider(static_cast<int>(to.size()));
  const auto side = gathers ? gather_side : scatter_side;
  for (int y = 0; y < to.height; ++y)
    for (int x = 0; x < to.width; ++x) {
      const Side row = side(at, at.kernel.height, y, from.height);
      const Side column = side(at, at.kernel.width, x, from.width);
      walk.places.push_back(
          {(row.first * from.width + column.first) * channels, row.mask, column.mask, 0.f});
    }
  return walk;
}

}  // namespace

Walk walk_of(const LinearMap& map) {
  return walk(map.convolution, !map.transposed(), map.channels_in, map.plane_in, map.plane_out);
}

Walk walk_back(const LinearMap& map) {
  return walk(map.convolution, map.transposed(), map.channels_out, map.plane_out, map.plane_in);
}

bool meets_itself(const LinearMap& map) {
  const Convolution& at = map.convolution;
  return at.kernel.size() == 1 && at.stride == 1 && at.padding == 0 && at.output_padding == 0;
}

}  // namespace ffjord::cuda
