// The contexts that are given with a call.
#pragma once

#include <string>
#include <vector>

#include "core/arrays.h"
#include "core/errors.h"
#include "core/flow_description.h"

namespace ffjord {

/// (B, C) in the engine's numbers, once their number is that of the flow.
template <class Real>
std::vector<Real> given_contexts(const Conditioning& conditioning, const Input& context,
                                 std::size_t batch) {
  const std::size_t size = conditioning.size;
  if (size == 0)
    require(context.empty(), "this flow takes no context; leave it out");
  else
    require(context.size() == batch * size, "this flow is conditional: give a context of " +
                                                std::to_string(size) + " numbers a row");
  return context.as<Real>();
}

}  // namespace ffjord
