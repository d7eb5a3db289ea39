#include <algorithm>
#include <vector>

#include "cuda/device/grid.h"
#include "cuda/fused/fused_net.h"
#include "cuda/net/layer_backward.h"
#include "cuda/product/products.h"

namespace ffjord::cuda {
namespace {

// Batches up to this size are cut into tiles of 4 rows by float32, so that their blocks reach all
// multiprocessors. It does not ask how many a card has, as the order of sums must not depend on it.
constexpr int kNarrowBatch = 1024;
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

FusedShape fragments_of(const BlockCall& call, bool many_rows) {
  if (widest_of(call.net) <= 64) return many_rows ? FusedShape::ManyRows64 : FusedShape::FewRows64;
  return many_rows ? FusedShape::ManyRows128 : FusedShape::FewRows128;
}
// Whether a solve by fragments has tiles of many rows: where they hold a group. For batches that
// step together tiles of few rows are predicted to be faster, of 100,000 rows too (docs/cuda.md).
bool takes_many_rows(const BlockCall& call) {
  const Grouping& grouping = call.grouping;
  return by_tile(grouping) || (!by_row(grouping) && call.stream.options().fused == 32);
}
bool takes_fragments(const BlockCall& call, int tangents, bool pullback) {
  const CudaOptions& options = call.stream.options();
  return options.fused != 4 && chosen_products(options) != Products::Float32 &&
         (widest_of(call.net) <= 64 || has_wide_fragments(tangents, pullback));
}

FusedShape float_shape(const BlockCall& call) {
  const Grouping& grouping = call.grouping;
  const std::optional<int> rows = call.stream.options().fused;
  if (by_row(grouping) || by_tile(grouping))
    return by_row(grouping) ? FusedShape::Narrow : FusedShape::Broad;
  const bool narrow = rows ? *rows == 4 : grouping.batch <= kNarrowBatch;
  return narrow ? FusedShape::Narrow : FusedShape::Broad;
}

// The shapes that may hold a call, the best first. Groups of a solve lie within its tiles.
std::vector<FusedShape> shapes_of(const BlockCall& call, int tangents, bool pullback) {
  const bool any_rows = pullback || !by_tile(call.grouping);
  std::vector<FusedShape> shapes;
  if (takes_fragments(call, tangents, pullback)) {
    if (!pullback) shapes.push_back(fragments_of(call, takes_many_rows(call)));
    if (any_rows) shapes.push_back(fragments_of(call, false));
  }
  if (shapes.empty() || pullback) shapes.push_back(float_shape(call));
  if (pullback) shapes.push_back(FusedShape::Narrow);
  return shapes;
}

template <class Tile>
int groups_a_tile(const Grouping& grouping) {
  if (by_row(grouping)) return Tile::kRows;
  return by_tile(grouping) ? std::max(1, Tile::kRows / kGroupRows) : 1;
}

// Entries in whole vectors.
int whole(int entries) { return (entries + 3) / 4 * 4; }

template <class Tile>
FusedLayout lay_out(const FusedPlan& plan, int stages, bool pullback) {
  const FusedNet& net = plan.net;
  FusedLayout at;
  const auto take = [&](int floats) {
    const int first = at.size;
    at.size += whole(floats);
    return first;
  };
  const auto doubles = [&](std::size_t count, std::size_t size) {
    return take(static_cast<int>(count * size / sizeof(float)));
  };
  constexpr int rows = Tile::kRows, channels = Tile::kChannels;
  const int states = rows * plan.channels;
  if constexpr (InFragments<Tile>) {
    for (int l = 0; l < net.layer_count; ++l) {
      const Layer& layer = net.layers[l];
      const bool few = net.has_few_inputs(l), last = l + 1 == net.layer_count;
      at.weights[l] = take(Tile::kMostUnits * (few    ? layer.in()
                                               : last ? Tile::padded(layer.out())
                                                      : Tile::kMostUnits));
      if (!pullback) continue;
      if (!few)
        at.transposed[l] =
            take(Tile::kMostUnits * (l == 0 ? Tile::padded(layer.in()) : Tile::kMostUnits));
      at.sums[l] = take(whole(layer.in()) * Tile::padded(layer.out()));
    }
    at.downs = take(net.layer_count);
    at.operands = doubles(std::size_t(2) * Tile::kParts, sizeof(typename Tile::Operand));
    at.activations[0] = take(channels * rows * net.stride);
    at.offsets = take(net.layer_count * Tile::kMostUnits * 2);
    if (net.gated) at.gates = take(net.layer_count * Tile::kMostUnits * 2);
    if (pullback) {
      for (int* part : {&at.outer_bars, &at.outer_inputs})
        *part = take(2 * channels * rows * (Tile::kMostUnits + 4));
      at.input_parts = take(Tile::kWarps * rows * net.dimension);
    }
  } else {
    const auto matrix = [&](int depth, int width) {
      return take(Tile::padded(depth) * Tile::padded(width));
    };
    for (int l = 0; l < net.layer_count; ++l) {
      const Layer& layer = net.layers[l];
      at.weights[l] = matrix(layer.in(), layer.out());
      if (!pullback) continue;
      at.transposed[l] = matrix(layer.out(), layer.in());
      at.sums[l] = take(Tile::padded(layer.in()) * Tile::padded(layer.out()));
    }
    for (int& part : at.activations) part = take(channels * rows * net.stride);
    for (int* part : {&at.gates, &at.offsets, &at.shifts})
      *part = take(plan.groups_a_tile * net.units);
  }
  at.time = take(plan.groups_a_tile);
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
  at.bar = take(states);
  at.rate_bar = take(states);
  at.point_bars = take(stages * rows * net.dimension);
  at.bars[0] = take(channels * rows * net.stride);
  if constexpr (InFragments<Tile>) {
    at.time_parts = take(Tile::kWarps * rows);
    at.unit_sums = take(net.layer_count * (net.gated ? kBeta : kLogit) * Tile::kThreads * 4);
  } else {
    at.time_parts = take(rows);
    at.unit_sums = take(kUnitSums * net.units);
    at.bars[1] = take(channels * rows * net.stride);
    if (net.gated) {
      at.plain_bars = take(rows * net.stride);
      at.logit_bars = take(rows * net.stride);
    }
  }
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
  if (call.stream.options().fused == 0 || !holds(call.net, form, call.plan.solver))
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
          InFragments<Tile> ? plan.net.dimension | 1 : Tile::padded(widest_of(call.net)) + 4;
      plan.tiles = tiles_of(call.grouping.batch, Tile::kRows);
      plan.groups_a_tile = groups_a_tile<Tile>(call.grouping);
      plan.layout = lay_out<Tile>(plan, call.plan.solver.tableau->stages, pullback);
    };
    if (in_fragments(shape))
      with_fragment_tile(shape, form.tangents, cut);
    else
      with_float_tile(shape, form.tangents, cut);
    return plan.layout.bytes() <= room;
  };
  const std::vector<FusedShape> shapes = shapes_of(call, form.tangents, pullback);
  if (std::none_of(shapes.begin(), shapes.end(), fits)) return std::nullopt;
  return plan;
}

}  // namespace

std::optional<FusedPlan> plan_fused_solve(const BlockCall& call) { return plan_fused(call, false); }

std::optional<FusedPlan> plan_fused_pullback(const BlockCall& call) {
  return plan_fused(call, true);
}

}  // namespace ffjord::cuda
