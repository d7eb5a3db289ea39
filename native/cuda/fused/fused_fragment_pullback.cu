#include "cuda/fused/fused_fragment_pullback.h"
#include "cuda/fused/fused_fragment_reverse.h"

namespace ffjord::cuda {
namespace {

// hot: no spills
template <class Layers>
__global__ void __launch_bounds__(Layers::Tile::kThreads, 1)
    fused_fragment_pullback(const __grid_constant__ FusedPullbackArguments s,
                            const __grid_constant__ DeviceTableau tableau) {
  pull_tiles<Layers>(s, tableau);
}

}  // namespace

FusedPullbackKernel fragment_pullback(FusedShape shape, int tangents) {
  FusedPullbackKernel pullback;
  with_pulled_fragments(shape, tangents, [&](auto tile) {
    using Layers = FusedFragmentReverse<decltype(tile)>;
    pullback = pullback_kernel<Layers>("fused_fragment_pullback", fused_fragment_pullback<Layers>);
  });
  return pullback;
}

}  // namespace ffjord::cuda
