#include "cpu/row_queue.h"

#include <cmath>

#include "core/step_control.h"

namespace ffjord::cpu {
namespace {

const float* or_null(const AlignedFloats& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

RowTile::RowTile(const RowBatch& batch)
    : start(flow_channels(batch.call).count * batch.call.tiles.rows),
      first(start.size()),
      noise(batch.eps.size() / batch.call.tiles.batch * batch.call.tiles.rows),
      terms(batch.call.net.terms() * batch.call.tiles.rows),
      rows_(batch.call.tiles.rows) {}

RowConstants RowTile::constants() const { return {or_null(noise), or_null(terms)}; }

void RowTile::copy(std::size_t column, const RowTile& from, std::size_t from_column) {
  for (auto array : {&RowTile::start, &RowTile::first, &RowTile::noise, &RowTile::terms}) {
    AlignedFloats& to = this->*array;
    for (std::size_t at = 0; at < to.size(); at += rows_)
      to[at + column] = (from.*array)[at + from_column];
  }
}

RowQueue::RowQueue(RowBatch& batch, int worker, const TileStepper& stepper, RowTimes& times,
                   StepScratch& scratch, RowFailures& failures)
    : batch_(batch),
      call_(batch.call),
      tableau_(*call_.plan.solver.tableau),
      channels_(flow_channels(call_)),
      worker_(worker),
      stepper_(stepper),
      times_(times),
      scratch_(scratch),
      failures_(failures),
      tile_(batch),
      trial_rates_(tile_.start.size()) {
  for (AlignedFloats* rows : {&trial_sizes_, &start_norms_, &rate_norms_, &row_norms_})
    rows->resize(call_.tiles.rows);
}

bool RowQueue::has_row() {
  while (next_ == waiting_.size())
    if (!draw_tile()) return false;
  return true;
}

RowQueue::Row RowQueue::take(RowTile& tile, std::size_t column) {
  const Row& row = waiting_[next_++];
  tile.copy(column, tile_, row.row % call_.tiles.rows);
  return row;
}

bool RowQueue::draw_tile() {
  const std::size_t tile = batch_.next_tile++;
  if (tile >= call_.tiles.count()) return false;
  waiting_.clear();
  next_ = 0;
  load(tile);
  size_first_steps(tile);
  return true;
}

void RowQueue::load(std::size_t tile) {
  const Tiles& tiles = call_.tiles;
  float* const start = tile_.start.data();
  float* const delta = start + call_.z_size();
  load_tile(tiles, tile, batch_.rows.z, call_.dimension, start);
  load_tile(tiles, tile, batch_.rows.delta_logp, 1, delta);
  for (std::size_t row = 0; row < tiles.rows; ++row) delta[row] = -delta[row];
  load_tile(tiles, tile, batch_.rows.regularisers, call_.regularisers(), delta + tiles.rows);
  const std::size_t size = call_.plan.trace.noise_size(call_.dimension);
  for (std::size_t k = 0; k * size * tiles.rows < tile_.noise.size(); ++k)
    load_tile(tiles, tile, batch_.eps.subspan(k * tiles.batch * size), size,
              tile_.noise.data() + k * size * tiles.rows);
  std::copy_n(batch_.terms.data() + tile * tile_.terms.size(), tile_.terms.size(),
              tile_.terms.data());
}

// Hairer's rule, row by row.
void RowQueue::size_first_steps(std::size_t tile) {
  const Tiles& tiles = call_.tiles;
  const std::size_t used = tiles.rows_in(tile);
  const float* const start = tile_.start.data();
  float* const trial = scratch_.point.data();
  float* const change = scratch_.error.data();
  const auto evaluate = [&](const float* state, float* rates) {
    times_.changed();
    evaluate_flow(call_, worker_, times_.of(0), tile_.constants(), state, rates);
  };
  const auto norms = [&](const float* values, AlignedFloats& result) {
    stepper_.scaled_squares(values, start, start, used, scratch_, result.data());
  };
  for (std::size_t column = 0; column < tiles.rows; ++column) times_.set(column, call_.t0(), 0);
  evaluate(start, tile_.first.data());
  norms(start, start_norms_);
  norms(tile_.first.data(), rate_norms_);
  const double sign = call_.reverse ? -1 : 1;
  for (std::size_t column = 0; column < tiles.rows; ++column) {
    const double h0 =
        sign * trial_step(std::sqrt(start_norms_[column]), std::sqrt(rate_norms_[column]));
    trial_sizes_[column] = static_cast<float>(h0);
    times_.set(column, call_.t0() + h0, 0);
  }
  const double one = 1;
  combine_rows(trial, start, trial_sizes_.data(), tiles.rows, {&one, 1}, {tile_.first.data()}, 1, 0,
               channels_.inputs * tiles.rows);
  evaluate(trial, trial_rates_.data());
  combine(change, trial_rates_.data(), -1, {&one, 1}, {tile_.first.data()}, 1, 0,
          channels_.count * tiles.rows);
  norms(change, row_norms_);
  for (std::size_t column = 0; column < used; ++column) {
    const std::size_t row = tiles.first_row(tile) + column;
    const double d0 = std::sqrt(start_norms_[column]), d1 = std::sqrt(rate_norms_[column]);
    if (!std::isfinite(d0) || !std::isfinite(d1)) {
      failures_.emplace(row, start_not_finite(call_.t0()));
      continue;
    }
    const double h0 = std::abs(trial_sizes_[column]);
    const double d2 = std::sqrt(row_norms_[column]) / h0;
    waiting_.push_back({row, first_step(h0, d1, d2, tableau_.order)});
  }
}

}  // namespace ffjord::cpu
