// A flow whose rows live in host memory: keeps the weights, chains the blocks, applies the fixed
// transforms. An engine adds its ContinuousBlock and is whole.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/continuous_block.h"
#include "core/engine.h"

namespace ffjord {

template <class Real>
using MakeBlock = std::function<std::unique_ptr<ContinuousBlock<Real>>(const BlockContext<Real>&)>;

/// Validates the description and initialises the weights from `seed`.
template <class Real>
std::unique_ptr<Flow> make_host_flow(const FlowDescription& description, std::uint64_t seed,
                                     const MakeBlock<Real>& make_block);

extern template std::unique_ptr<Flow> make_host_flow(const FlowDescription&, std::uint64_t,
                                                     const MakeBlock<float>&);
extern template std::unique_ptr<Flow> make_host_flow(const FlowDescription&, std::uint64_t,
                                                     const MakeBlock<double>&);

}  // namespace ffjord
