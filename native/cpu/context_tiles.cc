#include "cpu/context_tiles.h"

#include <vector>

namespace ffjord::cpu {
namespace {

AlignedFloats context_tile(const Tiles& tiles, std::size_t tile, std::span<const float> context) {
  const std::size_t size = context.size() / tiles.batch;
  AlignedFloats values(size * tiles.rows);
  load_tile(tiles, tile, context, size, values.data());
  return values;
}

}  // namespace

AlignedFloats context_terms(const TileNet& net, Team& team, const Tiles& tiles,
                            std::span<const float> context) {
  if (context.empty()) return {};
  const std::size_t stride = net.terms() * tiles.rows;
  AlignedFloats terms(tiles.count() * stride);
  team.run(tiles.count(), [&](int, std::size_t tile) {
    net.enter_context(context_tile(tiles, tile, context).data(), terms.data() + tile * stride);
  });
  return terms;
}

void pull_context(const TileNet& net, Team& team, const Tiles& tiles, const TileSlots& slots,
                  std::span<const float> context, const AlignedFloats& terms_bar,
                  std::span<GradientSlot* const> sums, std::span<float> context_bar) {
  if (context.empty() || (sums.empty() && context_bar.empty())) return;
  const std::size_t size = context.size() / tiles.batch, stride = net.terms() * tiles.rows;
  std::vector<float> bars(context_bar.size());
  slots.for_each_tile(team, [&](int, std::size_t tile) {
    AlignedFloats bar(context_bar.empty() ? 0 : size * tiles.rows);
    net.pull_back_context(
        context_tile(tiles, tile, context).data(), terms_bar.data() + tile * stride,
        sums.empty() ? nullptr : sums[slots.of(tile)], bar.empty() ? nullptr : bar.data());
    if (!bar.empty()) store_tile(tiles, tile, bar.data(), size, bars);
  });
  for (std::size_t i = 0; i < bars.size(); ++i) context_bar[i] += bars[i];
}

}  // namespace ffjord::cpu
