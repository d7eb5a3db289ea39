#include "core/fixed_run.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace ffjord {

void refuse_overflow(const Input& rows, std::size_t size, std::size_t at, std::size_t first) {
  throw Error(ErrorCode::InvalidArgument,
              "row " + std::to_string(first + at / size) + " holds " +
                  text_of(rows.as<double>()[at]) + " in element " + std::to_string(at % size) +
                  ", behind the transforms that the flow begins with, which is more than the "
                  "engine's numbers hold; drop such rows, or begin with standardize");
}

FixedRun::FixedRun(const FlowDescription& flow, const std::vector<std::vector<int>>& shapes)
    : flow_(flow),
      shapes_(shapes),
      size_(std::find_if_not(flow.blocks.begin(), flow.blocks.end(), is_fixed) -
            flow.blocks.begin()),
      bounded_(std::any_of(flow.blocks.begin(), flow.blocks.begin() + size_, is_bounded)) {}

std::vector<std::size_t> FixedRun::map(const TransformRows<double>& rows, Outside outside,
                                       FixedTape* tape) const {
  std::vector<std::size_t> rows_outside;
  for (std::size_t i = 0; i < size_; ++i) {
    const Block& block = flow_.blocks[i];
    const auto found = find_outside(block, rows);
    if (!found.empty()) {
      std::vector<std::size_t> numbers;
      for (const OutsideElement& one : found) numbers.push_back(one.row);
      if (outside == Outside::Refuse)
        throw OutsideSupport(numbers, reason_outside(block, i, found.front(), false), false);
      move_inside(block, found, rows);
      rows_outside.insert(rows_outside.end(), numbers.begin(), numbers.end());
    }
    if (tape && is_element_map(block)) tape->emplace_back(rows.values.begin(), rows.values.end());
    map_fixed(block, shapes_[i], false, rows);
  }
  std::sort(rows_outside.begin(), rows_outside.end());
  rows_outside.erase(std::unique(rows_outside.begin(), rows_outside.end()), rows_outside.end());
  return rows_outside;
}

bool FixedRun::maps_elements(double lowest, double highest, std::size_t size) const {
  const auto blocks = this->blocks();
  if (!std::all_of(blocks.begin(), blocks.end(), is_element_map)) return false;
  for (std::size_t i = 0; i < size; ++i) {
    // The maps are monotone, so that the ends say it of all between them.
    std::array<double, 2> ends{lowest, highest};
    for (const Block& block : blocks)
      with_element_map(block, [&](const auto& transform) {
        for (double& end : ends)
          end = is_inside(element_of(transform, i), end)
                    ? map_element(element_of(transform, i), end).y
                    : std::numeric_limits<double>::infinity();
      });
    for (double end : ends)
      if (!std::isfinite(static_cast<float>(end))) return false;
  }
  return true;
}

void FixedRun::invert(const TransformRows<double>& rows, FixedTape* tape) const {
  for (std::size_t i = size_; i-- > 0;) {
    const Block& block = flow_.blocks[i];
    map_fixed(block, shapes_[i], true, rows);
    if (tape && is_element_map(block))
      tape->emplace(tape->begin(), rows.values.begin(), rows.values.end());
  }
}

void FixedRun::pull_back(bool inverted, const FixedTape& tape,
                         const TransformRows<double>& bar) const {
  const auto pull_back_block = [&](std::size_t i, std::size_t entry) {
    const Block& block = flow_.blocks[i];
    pull_back_fixed<double>(block, shapes_[i], inverted,
                            is_element_map(block) ? tape[entry] : std::vector<double>(), bar);
  };
  if (inverted) {
    for (std::size_t i = 0, entry = 0; i < size_; ++i) {
      pull_back_block(i, entry);
      entry += is_element_map(flow_.blocks[i]);
    }
    return;
  }
  for (std::size_t i = size_, entry = tape.size(); i-- > 0;) {
    entry -= is_element_map(flow_.blocks[i]);
    pull_back_block(i, entry);
  }
}

std::vector<float> FixedRun::rounded(std::size_t batch, std::span<const double> rows) const {
  std::vector<float> near(rows.begin(), rows.end());
  if (!bounded_) return near;
  const std::size_t size = rows.size() / batch;
  const auto outside_of = [&](std::vector<double> values) {
    std::vector<double> delta_logp(values.size() / size);
    return map({delta_logp.size(), size, values, delta_logp}, Outside::Improbable, nullptr);
  };
  for (const std::size_t row : outside_of({near.begin(), near.end()})) {
    const auto exact = rows.subspan(row * size, size);
    for (std::size_t i = 0; i < size; ++i) {
      float& value = near[row * size + i];
      std::vector<double> alone(exact.begin(), exact.end());  // but for this number
      alone[i] = value;
      // The neighbour on the other side of the number that was rounded.
      if (!outside_of(std::move(alone)).empty())
        value = std::nextafter(value, double(value) > exact[i] ? -HUGE_VALF : HUGE_VALF);
    }
  }
  return near;
}

void FixedRun::hand_over(std::size_t batch, std::span<const double> rows,
                         const Output& output) const {
  if (output.empty()) return;
  if (output.is_float64())
    output.assign(rows);
  else
    output.assign(std::span<const float>(rounded(batch, rows)));
}

}  // namespace ffjord
