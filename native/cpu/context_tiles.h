// The context of a batch, tile by tile: once before a solve, and once after its pullback.
#pragma once

#include <span>

#include "cpu/thread_pool.h"
#include "cpu/tile_net.h"
#include "cpu/tiles.h"

namespace ffjord::cpu {

/// c (B, C) → what it adds to the net of each row, [tile][P][rows]; empty without a context.
AlignedFloats context_terms(const TileNet& net, Team& team, const Tiles& tiles,
                            std::span<const float> context);

/// Cotangents of the terms, laid out like them → gradients, added to `slots` (tile t in slot t mod
/// count; may be none), and c̄ (B, C), added to `context_bar` (may be empty).
void pull_context(const TileNet& net, Team& team, const Tiles& tiles,
                  std::span<const float> context, const AlignedFloats& terms_bar,
                  std::span<GradientSlot* const> slots, std::span<float> context_bar);

}  // namespace ffjord::cpu
