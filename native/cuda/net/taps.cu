#include "cuda/net/taps.h"

namespace ffjord::cuda {
namespace {

// A convolution gathers, where `from` is its wide plane; else it goes from the narrow one.
Taps walk(const Convolution& at, bool gathers, int channels, const Plane& from, const Plane& to) {
  Taps taps;
  taps.channels = channels;
  taps.depth = static_cast<int>(at.kernel.size()) * channels;
  taps.height = from.height;
  taps.width = from.width;
  taps.pixels = static_cast<int>(from.size());
  taps.step = gathers ? at.stride : 1;
  taps.start = gathers ? -at.padding : at.padding;
  taps.direction = gathers ? 1 : -1;
  taps.by_channels = Divider(channels);
  taps.by_kernel_width = Divider(at.kernel.width);
  taps.by_pixels = Divider(static_cast<int>(to.size()));
  taps.by_width = Divider(to.width);
  taps.by_stride = Divider(gathers ? 1 : at.stride);
  return taps;
}

}  // namespace

Taps taps_of(const LinearMap& map) {
  return walk(map.convolution, !map.transposed(), map.channels_in, map.plane_in, map.plane_out);
}

Taps taps_back(const LinearMap& map) {
  return walk(map.convolution, map.transposed(), map.channels_out, map.plane_out, map.plane_in);
}

bool meets_itself(const LinearMap& map) {
  const Convolution& at = map.convolution;
  return at.kernel.size() == 1 && at.stride == 1 && at.padding == 0 && at.output_padding == 0;
}

}  // namespace ffjord::cuda
