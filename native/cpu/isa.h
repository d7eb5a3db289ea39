// What kernels include of the library, all of it, for isa_*.cc to include before they choose an
// instruction set: none of its inline functions may be compiled for a wider machine than the
// build's own, as the linker might choose that copy for all. scripts/check-floors.js compares.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "core/feed_forward_plan.h"
#include "core/flow_block.h"
#include "core/flow_description.h"
#include "core/lattice_probes.h"
#include "core/linear_map.h"
#include "core/memory.h"
#include "core/net_plan.h"
#include "core/parameters.h"
#include "core/regularisers.h"
#include "core/slots.h"
#include "core/squeezed_view.h"
#include "core/trace_plan.h"
#include "cpu/aligned.h"
#include "cpu/dense_map.h"
#include "cpu/feed_forward_tile.h"
#include "cpu/instruction_set.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu {

namespace baseline {
std::unique_ptr<TileNet> make_net(const BlockContext<float>& context, ConvolutionMethod method);
std::unique_ptr<FeedForwardTile> make_feed_forward(const FeedForwardPlace<float>& place);
DenseMapKernels dense_map();
}  // namespace baseline
namespace avx2 {
std::unique_ptr<TileNet> make_net(const BlockContext<float>& context, ConvolutionMethod method);
std::unique_ptr<FeedForwardTile> make_feed_forward(const FeedForwardPlace<float>& place);
DenseMapKernels dense_map();
}  // namespace avx2
namespace avx512 {
std::unique_ptr<TileNet> make_net(const BlockContext<float>& context, ConvolutionMethod method);
std::unique_ptr<FeedForwardTile> make_feed_forward(const FeedForwardPlace<float>& place);
DenseMapKernels dense_map();
}  // namespace avx512

}  // namespace ffjord::cpu
