// W of a layer applied to one sample: a product, its transpose and its weight gradient, for any
// geometry.
#pragma once

#include "core/linear_map.h"
#include "reference/vectors.h"

namespace ffjord::reference {

void apply(const LinearMap& map, View weight, View a, Target y);            ///< y = W a
void apply_transpose(const LinearMap& map, View weight, View y, Target a);  ///< a = Wᵀ y
/// W̄ += ȳ aᵀ
void add_weight_gradient(const LinearMap& map, View y_bar, View a, Target w_bar);

}  // namespace ffjord::reference
