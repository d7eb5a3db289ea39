#include "cuda/fused_chain_field.h"
#include "cuda/fused_chain_solve.h"

namespace ffjord::cuda {
namespace {

// hot: no spills
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    fused_chain_solve(const __grid_constant__ FusedSolveArguments s,
                      const __grid_constant__ DeviceTableau tableau) {
  step_tiles<FusedChainField<Tile>>(s, tableau);
}

}  // namespace

FusedSolveKernel chain_solve(int tangents) {
  FusedSolveKernel solve;
  with_chain_tile(tangents, [&](auto tile) {
    using Tile = decltype(tile);
    solve = {"fused_chain_solve", fused_chain_solve<Tile>, Tile::kThreads};
  });
  return solve;
}

}  // namespace ffjord::cuda
