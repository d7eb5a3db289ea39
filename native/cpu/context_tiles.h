// The context of a batch, tile by tile: once before a solve, and once after its pullback.
#pragma once

#include <span>

#include "cpu/tile_slots.h"

namespace ffjord::cpu {

/// c (B, C) → what it adds to the net of each row, [tile][P][rows], in `memory` used before; empty
/// without a context.
AlignedFloats context_terms(const TileNet& net, Team& team, const Tiles& tiles,
                            std::span<const float> context, AlignedFloats memory = {});

/// Cotangents of the terms, laid out like them → gradients, added to `sums` (one a slot, or none),
/// and c̄ (B, C), added to `context_bar` (may be empty).
void pull_context(const TileNet& net, Team& team, const Tiles& tiles, const TileSlots& slots,
                  std::span<const float> context, const AlignedFloats& terms_bar,
                  std::span<GradientSlot* const> sums, std::span<float> context_bar);

}  // namespace ffjord::cpu
