#include "reference/linear_map.h"

#include <algorithm>

namespace ffjord::reference {
namespace {

// A convolution reads its wide side and writes its narrow one; a transposed one the other way
// round. Weights are (narrow, wide, height, width) in both, of a dense map (out, in).
struct Sides {
  int narrow_channels, wide_channels;
  Plane narrow, wide;

  explicit Sides(const LinearMap& map)
      : narrow_channels(map.transposed() ? map.channels_in : map.channels_out),
        wide_channels(map.transposed() ? map.channels_out : map.channels_in),
        narrow(map.transposed() ? map.plane_in : map.plane_out),
        wide(map.transposed() ? map.plane_out : map.plane_in) {}
};

/// Calls visit(weight index, narrow index, wide index) for every product of the convolution.
template <class Visit>
void for_each_tap(const LinearMap& map, Visit visit) {
  const Sides sides(map);
  const Convolution& at = map.convolution;
  const Plane &narrow = sides.narrow, &wide = sides.wide;
  std::size_t weight = 0;
  for (int n = 0; n < sides.narrow_channels; ++n)
    for (int c = 0; c < sides.wide_channels; ++c)
      for (int i = 0; i < at.kernel.height; ++i)
        for (int j = 0; j < at.kernel.width; ++j, ++weight)
          for (int y = 0; y < narrow.height; ++y) {
            const int wide_y = y * at.stride - at.padding + i;
            if (wide_y < 0 || wide_y >= wide.height) continue;
            for (int x = 0; x < narrow.width; ++x) {
              const int wide_x = x * at.stride - at.padding + j;
              if (wide_x < 0 || wide_x >= wide.width) continue;
              visit(weight, (n * narrow.height + y) * narrow.width + x,
                    (c * wide.height + wide_y) * wide.width + wide_x);
            }
          }
}

void narrow_from_wide(const LinearMap& map, View weight, View wide, Target narrow) {
  if (map.is_dense) {
    const std::size_t columns = wide.size();
    for (std::size_t row = 0; row < narrow.size(); ++row)
      narrow[row] = dot(weight.data() + row * columns, wide.data(), columns);
    return;
  }
  std::fill(narrow.begin(), narrow.end(), 0.0);
  for_each_tap(map, [&](auto w, auto n, auto m) { narrow[n] += weight[w] * wide[m]; });
}

void wide_from_narrow(const LinearMap& map, View weight, View narrow, Target wide) {
  std::fill(wide.begin(), wide.end(), 0.0);
  if (map.is_dense) {
    const std::size_t columns = wide.size();
    for (std::size_t row = 0; row < narrow.size(); ++row)
      add_scaled(narrow[row], weight.data() + row * columns, wide.data(), columns);
    return;
  }
  for_each_tap(map, [&](auto w, auto n, auto m) { wide[m] += weight[w] * narrow[n]; });
}

}  // namespace

void apply(const LinearMap& map, View weight, View a, Target y) {
  map.transposed() ? wide_from_narrow(map, weight, a, y) : narrow_from_wide(map, weight, a, y);
}

void apply_transpose(const LinearMap& map, View weight, View y, Target a) {
  map.transposed() ? narrow_from_wide(map, weight, y, a) : wide_from_narrow(map, weight, y, a);
}

void add_weight_gradient(const LinearMap& map, View y_bar, View a, Target w_bar) {
  const View narrow = map.transposed() ? a : y_bar;
  const View wide = map.transposed() ? y_bar : a;
  if (map.is_dense) {
    const std::size_t columns = wide.size();
    for (std::size_t row = 0; row < narrow.size(); ++row)
      add_scaled(narrow[row], wide.data(), w_bar.data() + row * columns, columns);
    return;
  }
  for_each_tap(map, [&](auto w, auto n, auto m) { w_bar[w] += narrow[n] * wide[m]; });
}

}  // namespace ffjord::reference
