#include "cpu/tile_step.h"

#include <algorithm>
#include <cmath>

namespace ffjord::cpu {
namespace {

// The stages with a weight, and their weights.
struct Terms {
  int count = 0;
  float weights[kMaxStages];
  const float* values[kMaxStages];
};

// `Size` neighbouring elements, whose sums stay in registers. The small terms are summed first, and
// meet y once.
template <std::size_t Size, class StepSize>
void combine_block(float* result, const float* y, StepSize h, const Terms& terms, std::size_t at) {
  float sum[Size] = {};
  for (int j = 0; j < terms.count; ++j)
    for (std::size_t i = 0; i < Size; ++i) sum[i] += terms.weights[j] * terms.values[j][at + i];
  for (std::size_t i = 0; i < Size; ++i) sum[i] *= h(i);
  for (std::size_t i = 0; i < Size; ++i) result[at + i] = y ? y[at + i] + sum[i] : sum[i];
}

Terms terms_of(std::span<const double> weights, const StagePointers& k, int stages) {
  Terms terms;
  for (int j = 0; j < stages; ++j) {
    if (weights[j] == 0) continue;
    terms.weights[terms.count] = static_cast<float>(weights[j]);
    terms.values[terms.count++] = k[j];
  }
  return terms;
}

constexpr double kLargestSquare = 1e38;  // finite in float32
constexpr std::size_t kBlock = 16;       // divides the rows of a tile

}  // namespace

void combine(float* result, const float* y, double h, std::span<const double> weights,
             const StagePointers& k, int stages, std::size_t begin, std::size_t end) {
  const Terms terms = terms_of(weights, k, stages);
  const auto step = [size = static_cast<float>(h)](std::size_t) { return size; };
  std::size_t at = begin;
  for (; at + kBlock <= end; at += kBlock) combine_block<kBlock>(result, y, step, terms, at);
  for (; at < end; ++at) combine_block<1>(result, y, step, terms, at);
}

void combine_rows(float* result, const float* y, const float* h, std::size_t rows,
                  std::span<const double> weights, const StagePointers& k, int stages,
                  std::size_t begin, std::size_t end) {
  const Terms terms = terms_of(weights, k, stages);
  for (std::size_t channel = begin; channel < end; channel += rows)
    for (std::size_t row = 0; row < rows; row += kBlock)
      combine_block<kBlock>(
          result, y, [sizes = h + row](std::size_t i) { return sizes[i]; }, terms, channel + row);
}

void StepScratch::resize(const Channels& channels, std::size_t rows, int stages_kept) {
  const std::size_t size = channels.count * rows;
  stages.resize(stages_kept * size);
  point.resize(size);
  error.resize(size);
  for (auto* sums : {&row_sums, &rate_changes, &argument_changes}) sums->resize(rows);
}

StagePointers TileStepper::stages(const TileStep& step, const StepScratch& scratch) const {
  StagePointers k{};
  k[0] = step.first;
  for (int i = 1; i < tableau_.stages; ++i)
    k[i] = scratch.stages.data() + (i - 1) * channels_.count * rows_;
  k[tableau_.end_stage()] = step.last;
  return k;
}

TensorSums TileStepper::attempt(TileSystem& system, int worker, std::size_t tile,
                                std::size_t used_rows, StepTimes& times, bool with_first,
                                const TileStep& step, StepScratch& scratch) const {
  const std::size_t size = channels_.count * rows_, inputs = channels_.inputs * rows_;
  const StagePointers k = stages(step, scratch);
  if (with_first) system.evaluate(worker, tile, 0, times.of(0), step.start, step.first);
  for (int i = 1; i < tableau_.stages; ++i) {
    const bool ends = tableau_.fsal && i == tableau_.stages - 1;
    float* point = ends ? step.end : scratch.point.data();
    combine_rows(point, step.start, times.h(), rows_, tableau_.a[i], k, i, 0, inputs);
    float* rates = ends ? step.last : scratch.stages.data() + (i - 1) * size;
    system.evaluate(worker, tile, i, times.of(i), point, rates);
  }
  combine_rows(step.end, step.start, times.h(), rows_, tableau_.b, k, tableau_.stages,
               tableau_.fsal ? inputs : 0, size);

  const float* error = nullptr;
  if (tableau_.adaptive) {
    combine_rows(scratch.error.data(), nullptr, times.h(), rows_, tableau_.e, k, tableau_.stages, 0,
                 size);
    error = scratch.error.data();
    measure_changes(times, k, used_rows, scratch);
  }
  return scaled_squares(error, step.start, step.end, used_rows, scratch, step.row_errors);
}

void TileStepper::measure_changes(const StepTimes& times, const StagePointers& k,
                                  std::size_t used_rows, StepScratch& scratch) const {
  const std::size_t inputs = channels_.tensors[0] * rows_;
  float* change = scratch.point.data();
  const float* last = k[tableau_.stages - 1];
  const float* previous = k[tableau_.stages - 2];
  combine_rows(change, nullptr, times.h(), rows_, tableau_.last_change, k, tableau_.stages, 0,
               inputs);
  std::fill(scratch.rate_changes.begin(), scratch.rate_changes.end(), 0.0);
  std::fill(scratch.argument_changes.begin(), scratch.argument_changes.end(), 0.0);
  for (std::size_t channel = 0; channel < inputs; channel += rows_)
    for (std::size_t row = 0; row < used_rows; ++row) {
      const double rate = last[channel + row] - previous[channel + row];
      const double argument = change[channel + row];
      scratch.rate_changes[row] += rate * rate;
      scratch.argument_changes[row] += argument * argument;
    }
}

void TileStepper::interpolate(double h, std::span<const double> weights, const TileStep& step,
                              const StepScratch& scratch, float* result) const {
  combine(result, step.start, h, weights, stages(step, scratch), tableau_.end_stage() + 1, 0,
          channels_.count * rows_);
}

TensorSums TileStepper::scaled_squares(const float* values, const float* y0, const float* y1,
                                       std::size_t used_rows, StepScratch& scratch,
                                       float* row_errors) const {
  const float rtol = static_cast<float>(tolerance_.rtol),
              atol = static_cast<float>(tolerance_.atol);
  double* sums = scratch.row_sums.data();
  TensorSums totals{};
  std::fill_n(row_errors, rows_, 0.f);
  const auto close_tensor = [&](std::size_t channels) {
    double total = 0;
    for (std::size_t row = 0; row < used_rows; ++row) {
      total += sums[row];
      const double square = sums[row] / static_cast<double>(channels);
      if (!(square <= row_errors[row]) && !std::isnan(row_errors[row]))
        row_errors[row] = static_cast<float>(std::min(square, kLargestSquare));
    }
    return total;
  };

  std::size_t channel = 0;
  for (std::size_t tensor = 0; tensor < totals.size(); ++tensor) {
    const std::size_t end = channel + channels_.tensors[tensor];
    std::fill_n(sums, rows_, 0.0);
    for (; channel < end; ++channel) {
      const float* from = y0 + channel * rows_;
      const float* to = y1 + channel * rows_;
      // 0 · y₁ adds nothing, and makes a NaN of a state that is not finite.
      for (std::size_t row = 0; row < rows_; ++row) {
        const float scale = atol + rtol * std::max(std::abs(from[row]), std::abs(to[row]));
        const double ratio = values ? values[channel * rows_ + row] / scale : 0.f;
        sums[row] += ratio * ratio + 0 * to[row];
      }
    }
    if (channels_.tensors[tensor] > 0) totals[tensor] = close_tensor(channels_.tensors[tensor]);
  }

  std::fill_n(sums, rows_, 0.0);
  for (; channel < channels_.count; ++channel)
    for (std::size_t row = 0; row < rows_; ++row) sums[row] += 0 * y1[channel * rows_ + row];
  totals[0] += close_tensor(1);
  return totals;
}

}  // namespace ffjord::cpu
