#include <algorithm>

#include "cuda/fused/fused_net.h"
#include "cuda/net/layer_backward.h"
#include "cuda/product/tiling.h"

namespace ffjord::cuda {
namespace {

// Batches up to these sizes are cut into tiles of 4 and of 16 rows, so that their blocks reach all
// multiprocessors, larger ones into 64 where registers hold the net. The sizes do not ask how many
// multiprocessors a card has, as the order of sums must not depend on it.
constexpr int kNarrowBatch = 1024, kHalfBatch = 8192;
constexpr int kMostTangents = 3, kMostUnits = 128;

// In few dimensions an exact trace takes unit vectors, in place of its closed form.
EvaluationForm open_form(const BlockCall& call) {
  EvaluationForm form = call.form();
  if (form.closed && call.dimension() <= kMostTangents) {
    form.closed = false;
    form.unit = true;
    form.tangents = call.dimension();
  }
  return form;
}

// Rows of a tile; 0: the solve goes layer by layer.
int tile_rows(const CudaOptions& options, int batch) {
  if (options.fused) return *options.fused;
  return batch <= kNarrowBatch ? 4 : batch <= kHalfBatch ? 16 : 64;
}

bool holds(const DeviceNet& net, const EvaluationForm& form, const SolverOptions& solver) {
  if (net.convolutional() || net.conditional() || form.encoder > 0 ||
      net.layers().size() > FusedNet::kMostLayers)
    return false;
  for (const Layer& layer : net.layers())
    if (layer.moves() || layer.activation == Activation::Swish ||
        std::max(layer.in(), layer.out()) > kMostUnits)
      return false;
  return form.tangents >= 1 && form.tangents <= kMostTangents && !form.vjp &&
         (!solver.tableau->adaptive || solver.controller == Controller::Pi);
}

FusedNet describe(const BlockCall& call, const EvaluationForm& form) {
  const DeviceNet& net = call.net;
  const NetArrays arrays = net.arrays();
  FusedNet fused;
  std::copy(net.layers().begin(), net.layers().end(), fused.layers);
  fused.layer_count = arrays.layer_count;
  fused.units = arrays.units;
  fused.dimension = arrays.dimension;
  fused.gated = net.layers().front().gated();
  fused.residual = net.residual();
  fused.tangents = form.tangents;
  fused.unit = form.unit;
  fused.weight = form.unit ? 1.f : 1.f / form.tangents;
  fused.regularisers = form.regularisers;
  fused.direction = call.direction();
  fused.parameters = arrays.parameters;
  fused.packed = arrays.packed;
  return fused;
}

int widest_of(const DeviceNet& net) {
  int widest = 0;
  for (const Layer& layer : net.layers()) widest = std::max({widest, layer.in(), layer.out()});
  return widest;
}

bool by_row(const Grouping& grouping) { return grouping.rows == 1 && grouping.batch > 1; }
bool by_tile(const Grouping& grouping) { return !by_row(grouping) && grouping.count() > 1; }

// Whether a solve may stay in registers: where large products are of FP16 too.
bool chains(const BlockCall& call, const EvaluationForm& form) {
  using Tile = FusedChainTile<2>;
  const CudaOptions& options = call.stream.options();
  return chosen_products(options) != Products::Float32 &&
         tile_rows(options, call.grouping.batch) >= Tile::kRows && !by_row(call.grouping) &&
         widest_of(call.net) <= Tile::kMostUnits && form.tangents <= kMostChainTangents;
}

// The shape where there is no chain. Narrow tiles have a warp for each row, and no tensor cores.
// Tensor32 was never the fastest where it was measured (docs/cuda.md), and serves groups of 32
// rows.
FusedShape choose_shape(const BlockCall& call) {
  const Grouping& grouping = call.grouping;
  const CudaOptions& options = call.stream.options();
  const int rows = tile_rows(options, grouping.batch);
  if (by_row(grouping) || (!by_tile(grouping) && rows <= 4)) return FusedShape::Narrow;
  if (!takes_tensor_cores(widest_of(call.net), options)) return FusedShape::Broad;
  return by_tile(grouping) || rows == 32 ? FusedShape::Tensor32 : FusedShape::Tensor16;
}

template <class Tile>
int groups_a_tile(const Grouping& grouping) {
  if (by_row(grouping)) return Tile::kRows;
  return by_tile(grouping) ? std::max(1, Tile::kRows / kGroupRows) : 1;
}

template <class Tile>
FusedLayout lay_out(const FusedPlan& plan, int stages, bool pullback) {
  const FusedNet& net = plan.net;
  FusedLayout at;
  const auto take = [&](int floats) {
    const int first = at.size;
    at.size += (floats + 3) / 4 * 4;
    return first;
  };
  const auto doubles = [&](std::size_t count, std::size_t size) {
    return take(static_cast<int>(count * size / sizeof(float)));
  };
  const auto matrix = [&](int depth, int width) {
    return take(Tile::padded(depth) * (Tile::padded(width) + Tile::kWeightPadding));
  };
  constexpr int rows = Tile::kRows, channels = Tile::kChannels;
  const int states = rows * plan.channels;
  for (int l = 0; l < net.layer_count; ++l) {
    const Layer& layer = net.layers[l];
    at.weights[l] = Chained<Tile> && net.has_few_inputs(l)
                        ? take(layer.in() * Tile::padded(layer.out()))
                        : matrix(layer.in(), layer.out());
    if (!pullback) continue;
    at.transposed[l] = matrix(layer.out(), layer.in());
    at.sums[l] = take(Tile::padded(layer.in()) * Tile::padded(layer.out()));
  }
  if constexpr (Chained<Tile>) {
    at.largest_weights = take(net.layer_count * Tile::kWarps);
    at.activations[0] = take(channels * rows * net.stride);
  } else {
    for (int& part : at.activations) part = take(channels * rows * net.stride);
  }
  at.time = take(plan.groups_a_tile);
  for (int* part : {&at.gates, &at.offsets, &at.shifts})
    *part = take(plan.groups_a_tile * net.units);
  at.eps = take(net.tangents * rows * net.dimension);
  at.point = take(rows * net.dimension);
  at.state = take(states);
  at.stages = take(stages * states);
  at.groups = doubles(plan.groups_a_tile, sizeof(Group));
  if (!pullback) {
    at.end = take(states);
    const bool joint = plan.grouping.count() == 1;
    at.row_parts = doubles(joint ? Tile::kThreads : rows, sizeof(NormPart));
    at.parts = joint ? at.row_parts : doubles(kSlots * plan.groups_a_tile, sizeof(NormPart));
    return at;
  }
  at.row_sums = doubles(rows, sizeof(double));
  at.time_parts = take(Tile::kWarpsAcross * rows);
  at.unit_sums = take(kUnitSums * net.units);
  for (int& part : at.bars) part = take(channels * rows * net.stride);
  if (net.gated) {
    at.plain_bars = take(rows * net.stride);
    at.logit_bars = take(rows * net.stride);
  }
  at.bar = take(states);
  at.rate_bar = take(states);
  at.point_bars = take(stages * rows * net.dimension);
  return at;
}

std::size_t shared_memory_of_card() {
  int device = 0, bytes = 0;
  check(cudaGetDevice(&device), "device");
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "device");
  return bytes;
}

std::optional<FusedPlan> plan_fused(const BlockCall& call, bool pullback) {
  const EvaluationForm form = open_form(call);
  if (tile_rows(call.stream.options(), call.grouping.batch) == 0 ||
      !holds(call.net, form, call.plan.solver))
    return std::nullopt;
  FusedPlan plan;
  plan.grouping = call.grouping;
  plan.channels = call.channels();
  plan.net = describe(call, form);
  const std::size_t room = shared_memory_of_card();
  const auto fits = [&](FusedShape shape) {
    plan.shape = shape;
    const auto cut = [&](auto tile) {
      using Tile = decltype(tile);
      // Rows meet different banks.
      plan.net.stride =
          Chained<Tile> ? plan.net.dimension | 1 : Tile::padded(widest_of(call.net)) + 4;
      plan.tiles = tiles_of(call.grouping.batch, Tile::kRows);
      plan.groups_a_tile = groups_a_tile<Tile>(call.grouping);
      plan.layout = lay_out<Tile>(plan, call.plan.solver.tableau->stages, pullback);
    };
    if (shape == FusedShape::Chain64)
      with_chain_tile(form.tangents, cut);
    else
      with_fused_tile(shape, form.tangents, cut);
    return plan.layout.bytes() <= room;
  };
  if (!pullback && chains(call, form) && fits(FusedShape::Chain64)) return plan;
  if (fits(choose_shape(call))) return plan;
  return std::nullopt;
}

}  // namespace

std::optional<FusedPlan> plan_fused_solve(const BlockCall& call) { return plan_fused(call, false); }

std::optional<FusedPlan> plan_fused_pullback(const BlockCall& call) {
  return plan_fused(call, true);
}

}  // namespace ffjord::cuda
