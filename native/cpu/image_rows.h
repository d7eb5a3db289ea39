// Rows (count, c · h · w), row-major, into images and back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "cpu/images.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// visit(offset of a feature from the beginning of a panel, its number in a row)
template <class Visit>
void for_each_feature(const ImageLayout& layout, int channels, Visit visit) {
  std::size_t feature = 0;
  for (int c = 0; c < channels; ++c)
    for (int y = 0; y < layout.plane.height; ++y)
      for (int x = 0; x < layout.plane.width; ++x, ++feature)
        visit(layout.offset(y, x) + std::size_t(c) * kFeatureStride, feature);
}

/// Rows beyond `count` become zero.
inline void load_rows(const float* rows, std::size_t count, int channels, const Images& images,
                      int panels) {
  const std::size_t size = std::size_t(channels) * images.layout.plane.size();
  for (int panel = 0; panel < panels; ++panel) {
    float* const to = images.data + panel * images.layout.panel_stride();
    const std::size_t first = std::size_t(panel) * kFeatureStride;
    const std::size_t here = std::min<std::size_t>(kFeatureStride, count - std::min(count, first));
    const float* const from = rows + first * size;
    for_each_feature(images.layout, channels, [&](std::size_t at, std::size_t feature) {
      std::size_t row = 0;
      for (; row < here; ++row) to[at + row] = from[row * size + feature];
      for (; row < kFeatureStride; ++row) to[at + row] = 0;
    });
  }
}

/// rows ← images, or with `Add` rows += images.
template <bool Add>
void store_rows(const Images& images, int panels, int channels, float* rows, std::size_t count) {
  const std::size_t size = std::size_t(channels) * images.layout.plane.size();
  for (int panel = 0; panel < panels; ++panel) {
    const float* const from = images.data + panel * images.layout.panel_stride();
    const std::size_t first = std::size_t(panel) * kFeatureStride;
    const std::size_t here = std::min<std::size_t>(kFeatureStride, count - std::min(count, first));
    float* const to = rows + first * size;
    for_each_feature(images.layout, channels, [&](std::size_t at, std::size_t feature) {
      for (std::size_t row = 0; row < here; ++row) {
        float& value = to[row * size + feature];
        value = Add ? value + from[at + row] : from[at + row];
      }
    });
  }
}

/// The features of one image as another image of as many.
inline void reshape_images(const Images& from, int channels_from, const Images& to, int channels_to,
                           int panels) {
  std::vector<std::size_t> places;
  for_each_feature(to.layout, channels_to,
                   [&](std::size_t at, std::size_t) { places.push_back(at); });
  for (int panel = 0; panel < panels; ++panel)
    for_each_feature(from.layout, channels_from, [&](std::size_t at, std::size_t feature) {
      const float* const source = from.data + panel * from.layout.panel_stride() + at;
      float* const target = to.data + panel * to.layout.panel_stride() + places[feature];
      store(target, load(source));
      store(target + kLanes, load(source + kLanes));
    });
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
