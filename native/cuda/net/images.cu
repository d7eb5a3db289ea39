#include "core/squeezed_view.h"
#include "cuda/device/grid.h"
#include "cuda/net/images.h"

namespace ffjord::cuda {
namespace {

// One thread for each entry of (1 + K, B, D), in the order of the images: 12 bytes.
__global__ void gather_images(const __grid_constant__ ImageEntry s) {
  const std::size_t entry = flat_index(), size = std::size_t(s.rows.batch) * s.rows.dimension;
  const int channel = static_cast<int>(entry / size) - 1, dimension = s.rows.dimension;
  const std::size_t at = entry % size;
  const int row = static_cast<int>(at / dimension);
  if (channel >= s.rows.tangents || !s.rows.groups.of_row(row).working) return;
  const int place = s.rows.places[at % dimension];
  if (channel < 0)
    s.value_to[at] = s.value[std::size_t(row) * s.value_stride + place];
  else
    s.tangents_to[channel * size + at] =
        s.tangents ? s.tangents[channel * size + std::size_t(row) * dimension + place]
                   : (place == channel ? 1.f : 0.f);
}

// The same, the other way round.
__global__ void scatter_images(const __grid_constant__ ImageExit s) {
  const std::size_t entry = flat_index(), size = std::size_t(s.rows.batch) * s.rows.dimension;
  const int channel = static_cast<int>(entry / size) - 1, dimension = s.rows.dimension;
  const std::size_t at = entry % size;
  const int row = static_cast<int>(at / dimension);
  if (channel >= s.rows.tangents || !s.rows.groups.of_row(row).working) return;
  const int place = s.rows.places[at % dimension];
  const std::ptrdiff_t slot = s.rows.slot.offset(s.rows.groups);
  const float* from = slot + (channel < 0 ? s.value : s.tangents + channel * size);
  float* to =
      slot + (channel < 0 ? s.value_to + std::size_t(row) * s.value_stride + place
                          : s.tangents_to + channel * size + std::size_t(row) * dimension + place);
  *to = s.alpha * from[at] + (s.adds ? *to : 0.f);
}

std::size_t entries_of(const ImageRows& rows) {
  return std::size_t(1 + rows.tangents) * rows.batch * rows.dimension;
}

}  // namespace

std::vector<int> image_places(const LinearMap& first, int squeezes) {
  const Plane& view = first.plane_in;
  const std::vector<std::uint32_t> squeezed =
      squeezed_places(first.channels_in >> 2 * squeezes,
                      {view.height << squeezes, view.width << squeezes}, squeezes);
  std::vector<int> places;
  for (std::size_t pixel = 0; pixel < view.size(); ++pixel)
    for (int c = 0; c < first.channels_in; ++c)
      places.push_back(static_cast<int>(squeezed[c * view.size() + pixel]));
  return places;
}

void enter_images(const ImageEntry& s, const Stream& stream) {
  launch("gather_images", gather_images, flat_shape(entries_of(s.rows)), stream, s);
}

void leave_images(const ImageExit& s, const Stream& stream) {
  launch("scatter_images", scatter_images, flat_shape(entries_of(s.rows)), stream, s);
}

}  // namespace ffjord::cuda
