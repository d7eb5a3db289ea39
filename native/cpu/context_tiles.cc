#include "cpu/context_tiles.h"

#include <algorithm>
#include <vector>

namespace ffjord::cpu {
namespace {

/// Numbers of a row that are visited for all rows of a tile in turn: a line of memory.
constexpr std::size_t kNumbers = 16;

AlignedFloats context_tile(const Tiles& tiles, std::size_t tile, std::span<const float> context) {
  const std::size_t size = context.size() / tiles.batch;
  AlignedFloats values(size * tiles.rows);
  load_tile(tiles, tile, context, size, values.data());
  return values;
}

/// Calls visit(place among the rows of the context, place among a tile's terms) for every number of
/// the tile's rows.
template <class Visit>
void for_each_number(const Tiles& tiles, std::size_t tile, std::span<const std::uint32_t> places,
                     const Visit& visit) {
  const std::size_t size = places.size(), used = tiles.rows_in(tile);
  const std::size_t start = tiles.first_row(tile) * size;
  for (std::size_t first = 0; first < size; first += kNumbers)
    for (std::size_t i = first; i < std::min(size, first + kNumbers); ++i)
      for (std::size_t row = 0; row < used; ++row)
        visit(start + row * size + i, places[i] * tiles.rows + row);
}

}  // namespace

AlignedFloats context_terms(const TileNet& net, Team& team, const Tiles& tiles,
                            std::span<const float> context, AlignedFloats terms) {
  if (context.empty()) return {};
  const std::size_t stride = net.terms() * tiles.rows;
  terms.resize(tiles.count() * stride);
  const std::span<const std::uint32_t> places = net.term_places();
  team.run(tiles.count(), [&](int, std::size_t tile) {
    float* const of_tile = terms.data() + tile * stride;
    if (places.empty())
      return net.enter_context(context_tile(tiles, tile, context).data(), of_tile);
    if (tiles.rows_in(tile) < tiles.rows) std::fill_n(of_tile, stride, 0.f);
    for_each_number(tiles, tile, places,
                    [&](std::size_t from, std::size_t to) { of_tile[to] = context[from]; });
  });
  return terms;
}

void pull_context(const TileNet& net, Team& team, const Tiles& tiles, const TileSlots& slots,
                  std::span<const float> context, const AlignedFloats& terms_bar,
                  std::span<GradientSlot* const> sums, std::span<float> context_bar) {
  if (context.empty() || (sums.empty() && context_bar.empty())) return;
  const std::size_t size = context.size() / tiles.batch, stride = net.terms() * tiles.rows;
  const std::span<const std::uint32_t> places = net.term_places();
  if (!places.empty()) {
    if (context_bar.empty()) return;
    team.run(tiles.count(), [&](int, std::size_t tile) {
      const float* const of_tile = terms_bar.data() + tile * stride;
      for_each_number(tiles, tile, places,
                      [&](std::size_t to, std::size_t from) { context_bar[to] += of_tile[from]; });
    });
    return;
  }
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
