// Everything that tile_net_impl.h needs, included before an instruction set is chosen; and what
// each instruction set's file defines.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "core/flow_description.h"
#include "core/parameters.h"
#include "core/trace_plan.h"
#include "cpu/aligned.h"
#include "cpu/tile_net.h"

namespace ffjord::cpu {

namespace baseline {
std::unique_ptr<TileNet> make_net(const BlockContext<float>& context);
}
namespace avx2 {
std::unique_ptr<TileNet> make_net(const BlockContext<float>& context);
}
namespace avx512 {
std::unique_ptr<TileNet> make_net(const BlockContext<float>& context);
}

}  // namespace ffjord::cpu
