#include "reference/linear_map.h"

#include <algorithm>
#include <cstdlib>

namespace ffjord::reference {

LinearMap LinearMap::dense(int in, int out) {
  LinearMap map;
  map.narrow_channels_ = out;
  map.wide_channels_ = in;
  return map;
}

LinearMap LinearMap::convolution(int stride, const std::vector<int>& in,
                                 const std::vector<int>& out) {
  LinearMap map;
  map.kernel_ = stride == 1 ? 3 : 4;
  map.stride_ = stride;
  const std::vector<int>& narrow = stride < 0 ? in : out;
  const std::vector<int>& wide = stride < 0 ? out : in;
  map.narrow_channels_ = narrow[0];
  map.narrow_height_ = narrow[1];
  map.narrow_width_ = narrow[2];
  map.wide_channels_ = wide[0];
  map.wide_height_ = wide[1];
  map.wide_width_ = wide[2];
  return map;
}

LinearMap LinearMap::with_channels_in(int channels) const {
  LinearMap map = *this;
  (transposed() ? map.narrow_channels_ : map.wide_channels_) = channels;
  return map;
}

template <class Visit>
void LinearMap::for_each_tap(Visit visit) const {
  const int step = std::abs(stride_), padding = 1;
  std::size_t weight = 0;
  for (int n = 0; n < narrow_channels_; ++n)
    for (int c = 0; c < wide_channels_; ++c)
      for (int i = 0; i < kernel_; ++i)
        for (int j = 0; j < kernel_; ++j, ++weight)
          for (int y = 0; y < narrow_height_; ++y) {
            const int wide_y = y * step - padding + i;
            if (wide_y < 0 || wide_y >= wide_height_) continue;
            for (int x = 0; x < narrow_width_; ++x) {
              const int wide_x = x * step - padding + j;
              if (wide_x < 0 || wide_x >= wide_width_) continue;
              visit(weight, (n * narrow_height_ + y) * narrow_width_ + x,
                    (c * wide_height_ + wide_y) * wide_width_ + wide_x);
            }
          }
}

void LinearMap::narrow_from_wide(View weight, View wide, Target narrow) const {
  if (is_dense()) {
    const std::size_t columns = wide.size();
    for (std::size_t row = 0; row < narrow.size(); ++row)
      narrow[row] = dot(weight.data() + row * columns, wide.data(), columns);
    return;
  }
  std::fill(narrow.begin(), narrow.end(), 0.0);
  for_each_tap([&](auto w, auto n, auto m) { narrow[n] += weight[w] * wide[m]; });
}

void LinearMap::wide_from_narrow(View weight, View narrow, Target wide) const {
  std::fill(wide.begin(), wide.end(), 0.0);
  if (is_dense()) {
    const std::size_t columns = wide.size();
    for (std::size_t row = 0; row < narrow.size(); ++row)
      add_scaled(narrow[row], weight.data() + row * columns, wide.data(), columns);
    return;
  }
  for_each_tap([&](auto w, auto n, auto m) { wide[m] += weight[w] * narrow[n]; });
}

void LinearMap::apply(View weight, View a, Target y) const {
  transposed() ? wide_from_narrow(weight, a, y) : narrow_from_wide(weight, a, y);
}

void LinearMap::apply_transpose(View weight, View y, Target a) const {
  transposed() ? narrow_from_wide(weight, y, a) : wide_from_narrow(weight, y, a);
}

void LinearMap::add_weight_gradient(View y_bar, View a, Target w_bar) const {
  const View narrow = transposed() ? a : y_bar;
  const View wide = transposed() ? y_bar : a;
  if (is_dense()) {
    const std::size_t columns = wide.size();
    for (std::size_t row = 0; row < narrow.size(); ++row)
      add_scaled(narrow[row], wide.data(), w_bar.data() + row * columns, columns);
    return;
  }
  for_each_tap([&](auto w, auto n, auto m) { w_bar[w] += narrow[n] * wide[m]; });
}

}  // namespace ffjord::reference
