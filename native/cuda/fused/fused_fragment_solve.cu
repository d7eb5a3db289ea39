#include "cuda/fused/fused_fragment_field.h"
#include "cuda/fused/fused_fragment_solve.h"

namespace ffjord::cuda {
namespace {

// Blocks that the registers of a multiprocessor shall hold: as many as its shared memory does, or
// without one to spare where what a thread has would spill.
template <class Tile>
constexpr int kLeastBlocks = Tile::kWarps > 4       ? 1
                             : Tile::kChannels == 2 ? 4
                                                    : 3;

// hot: no spills
//
// Of the net 2-64-64-64-2 with tanh and one tangent a warp issues 290 instructions for a layer of
// 64 → 64 and eight rows: 24 products of fragments, 24 loads and stores of 16 bytes, 68
// instructions of four tanhs, 80 of what is split and handed over. A block of eight rows has 52 KiB
// of shared memory under dopri5 where the batch steps together. Registers by ptxas for sm_90a: 124.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, kLeastBlocks<Tile>)
    fused_fragment_solve(const __grid_constant__ FusedSolveArguments s,
                         const __grid_constant__ DeviceTableau tableau) {
  step_tiles<FusedFragmentField<Tile>>(s, tableau);
}

}  // namespace

FusedSolveKernel fragment_solve(FusedShape shape, int tangents) {
  FusedSolveKernel solve;
  with_fragment_tile(shape, tangents, [&](auto tile) {
    using Tile = decltype(tile);
    solve = {"fused_fragment_solve", fused_fragment_solve<Tile>, Tile::kThreads};
  });
  return solve;
}

}  // namespace ffjord::cuda
