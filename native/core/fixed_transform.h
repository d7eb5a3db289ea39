// The transforms that numbers of a description alone decide (is_fixed), as one: mapping rows, their
// cotangents, and which rows a transform is not defined at.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/flow_description.h"
#include "core/transforms.h"
#include "core/whiten.h"

namespace ffjord {

/// Calls `call(transform)` if the block maps elements; whether it does.
template <class Call>
bool with_element_map(const Block& block, const Call& call) {
  if (const auto* logit = std::get_if<Logit>(&block))
    call(*logit);
  else if (const auto* standardize = std::get_if<Standardize>(&block))
    call(*standardize);
  else if (const auto* support = std::get_if<Support>(&block))
    call(*support);
  else if (const auto* zero_mean = std::get_if<ZeroMean>(&block))
    call(*zero_mean);
  else
    return false;
  return true;
}

/// Whether its pullback reads the data side of its map.
inline bool is_element_map(const Block& block) {
  return with_element_map(block, [](const auto&) {});
}

/// Rows in place, data → base or `inverted`. `shape` is that of a sample on the data side.
template <class Real>
void map_fixed(const Block& block, const std::vector<int>& shape, bool inverted,
               const TransformRows<Real>& rows) {
  if (std::holds_alternative<Squeeze>(block)) {
    squeeze(shape, inverted, rows.batch, rows.values);
  } else if (const auto* whiten = std::get_if<Whiten>(&block)) {
    ffjord::apply(*whiten, inverted, rows);
  } else {
    with_element_map(block, [&](const auto& transform) {
      inverted ? invert(transform, rows) : ffjord::apply(transform, rows);
    });
  }
}

/// Cotangents in place; `x` (B, D), the data side of the map, is read where is_element_map.
template <class Real>
void pull_back_fixed(const Block& block, const std::vector<int>& shape, bool inverted,
                     std::span<const Real> x, const TransformRows<Real>& bar) {
  if (std::holds_alternative<Squeeze>(block)) {
    squeeze(shape, !inverted, bar.batch, bar.values);
  } else if (const auto* whiten = std::get_if<Whiten>(&block)) {
    pull_back(*whiten, inverted, bar);
  } else {
    with_element_map(block, [&](const auto& transform) { pull_back(transform, inverted, x, bar); });
  }
}

/// The first element of a row at which a block is not defined.
struct OutsideElement {
  std::size_t row = 0, element = 0;
  double value = 0;
};

/// One entry a row that the block does not map.
template <class Real>
std::vector<OutsideElement> find_outside(const Block& block, const TransformRows<Real>& rows) {
  std::vector<OutsideElement> found;
  if (!is_bounded(block)) return found;
  with_element_map(block, [&](const auto& transform) {
    for (std::size_t b = 0; b < rows.batch; ++b)
      for (std::size_t i = 0; i < rows.size; ++i) {
        const Real value = rows.values[b * rows.size + i];
        if (is_inside(element_of(transform, i), value)) continue;
        found.push_back({b, i, double(value)});
        break;
      }
  });
  return found;
}

/// Puts rows where the block maps them to 0: nothing is said of them, and what follows can go on.
template <class Real>
void move_inside(const Block& block, const std::vector<OutsideElement>& outside,
                 const TransformRows<Real>& rows) {
  with_element_map(block, [&](const auto& transform) {
    for (const OutsideElement& one : outside)
      for (std::size_t i = 0; i < rows.size; ++i)
        rows.values[one.row * rows.size + i] = invert_element(element_of(transform, i), Real(0)).x;
  });
}

/// A number in a message.
std::string text_of(double value);

/// What is wrong with a row, and what to do: the end of an OutsideSupport. `by_weights`: blocks
/// with weights stand before this one.
std::string reason_outside(const Block& block, std::size_t index, const OutsideElement& outside,
                           bool by_weights);

}  // namespace ffjord
