// The order of an image's elements once it is squeezed, some times in a row.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/linear_map.h"

namespace ffjord {

/// Where element i of the squeezed image lies in the image (channels, plane), whose sides must be
/// multiples of 2^squeezes: (c, h, w) → (4c, h/2, w/2), out[4c + 2a + b, i, j] = in[c, 2i + a, 2j +
/// b].
inline std::vector<std::uint32_t> squeezed_places(int channels, Plane plane, int squeezes) {
  std::vector<std::uint32_t> places(channels * plane.size());
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<std::uint32_t>(i);
  for (int s = 0; s < squeezes; ++s) {
    const Plane half = {plane.height / 2, plane.width / 2};
    std::vector<std::uint32_t> squeezed;
    squeezed.reserve(places.size());
    for (int c = 0; c < channels; ++c)
      for (int a = 0; a < 4; ++a)
        for (int i = 0; i < half.height; ++i)
          for (int j = 0; j < half.width; ++j)
            squeezed.push_back(
                places[(std::size_t(c) * plane.height + 2 * i + a / 2) * plane.width + 2 * j +
                       a % 2]);
    places = std::move(squeezed);
    channels *= 4;
    plane = half;
  }
  return places;
}

}  // namespace ffjord
