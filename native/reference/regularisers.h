// The sums over a row that regularisers are made of (core/regularisers.h), and their pullback.
#pragma once

#include "core/regularisers.h"
#include "reference/network.h"

namespace ffjord::reference {

/// `field` is f and its tangents J ε_k, or the columns of J; `weight` is that of a tangent.
double row_sum(RowSum sum, const Columns& field, double weight);

/// Adds the cotangents of `field` for that of the sum.
void pull_row_sum(RowSum sum, const Columns& field, double weight, double sum_bar,
                  Columns& field_bars);

}  // namespace ffjord::reference
