#include "cuda/fused/fused_chain_field.h"
#include "cuda/fused/fused_chain_solve.h"

namespace ffjord::cuda {
namespace {

// hot: no spills
//
// For the net 2-64-64-64-2 with tanh and one tangent, an evaluation of a warp's 16 rows is 541
// kFLOP: 408 products of fragments, three for each of 16 × 8 × 16 multiply-adds (384 of the hidden
// layers, 24 of the last), and 128 multiply-adds a thread for the first layer. It loads 68 × 512
// bytes of weights from shared memory, takes 96 reciprocals a thread (MUFU), one a tanh, and
// nothing from the device's memory but what the cache holds of biases. A block has 55.3 KiB of
// shared memory under dopri5 where the batch steps together. Registers by ptxas for sm_90a: 210,
// with two tangents 228.
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
