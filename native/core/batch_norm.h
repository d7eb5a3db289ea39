// Moving batch norm, y = (x − m)/√(v + ε)·e^w + b, ε = 1e-4, as the reference implementation has
// it: training normalises with the running statistics of before the batch, mixed with the batch's
// own where lag > 0; the running statistics move by a tenth after the optimizer's step.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "core/slots.h"
#include "core/transforms.h"

namespace ffjord {

inline constexpr double kBatchNormEpsilon = 1e-4;
inline constexpr double kBatchNormDecay = 0.1;

/// What one call normalises with, and what it will leave behind. Vectors have one entry an element.
struct BatchMoments {
  std::vector<double> mean, variance;  // used
  std::vector<double> batch_mean,
      batch_variance;      // of the batch, unbiased; empty when not training
  double batch_share = 0;  // ∂ mean / ∂ batch mean = L / (1 − L^(step+1)); 0 without lag
};

/// The statistics of one block, which commit moves.
template <class Value>
struct RunningStatistics {
  std::span<Value> mean, variance;
  Value& step;
};

template <class Real>
BatchMoments batch_moments(const BatchNorm& norm, const RunningStatistics<const Real>& running,
                           bool training, const BatchShare& share,
                           const TransformRows<Real>& rows) {
  BatchMoments moments;
  moments.mean.assign(running.mean.begin(), running.mean.end());
  moments.variance.assign(running.variance.begin(), running.variance.end());
  const std::size_t whole = share.whole_of(rows.batch);
  if (!training || whole < 2) return moments;

  const std::size_t size = rows.size;
  const Slots slots(rows.batch, share);
  const auto sums_of = [&](const auto& term) {
    std::vector<double> sums;
    for (std::size_t i = 0; i < size; ++i)
      sums.push_back(sum_of_rows(
          slots, [&](std::size_t b) { return term(i, double(rows.values[b * size + i])); }));
    share.sum(sums);
    return sums;
  };
  moments.batch_mean = sums_of([&](std::size_t, double x) { return x / double(whole); });
  moments.batch_variance = sums_of([&](std::size_t i, double x) {
    const double centred = x - moments.batch_mean[i];
    return centred * centred / double(whole - 1);
  });
  if (norm.lag > 0) {
    const double correction = 1 - std::pow(norm.lag, double(running.step) + 1);
    moments.batch_share = norm.lag / correction;
    for (std::size_t i = 0; i < size; ++i) {
      const double rest = (1 - norm.lag) / correction;
      moments.mean[i] = moments.batch_share * moments.batch_mean[i] + rest * moments.mean[i];
      moments.variance[i] =
          moments.batch_share * moments.batch_variance[i] + rest * moments.variance[i];
    }
  }
  return moments;
}

template <class Real>
void commit(const BatchMoments& moments, const RunningStatistics<Real>& running) {
  if (moments.batch_mean.empty()) return;
  for (std::size_t i = 0; i < running.mean.size(); ++i) {
    running.mean[i] = static_cast<Real>((1 - kBatchNormDecay) * running.mean[i] +
                                        kBatchNormDecay * moments.batch_mean[i]);
    running.variance[i] = static_cast<Real>((1 - kBatchNormDecay) * running.variance[i] +
                                            kBatchNormDecay * moments.batch_variance[i]);
  }
  running.step += 1;
}

/// The map as slope and offset: y = slope·x + offset; forward subtracts log_slope from Δlogp.
struct Affine {
  std::vector<double> slope, offset;
  double log_slope = 0;  // Σ_i log slope_i
};

template <class Real>
Affine affine_of(const BatchMoments& moments, std::span<const Real> log_scale,
                 std::span<const Real> bias) {
  const std::size_t size = moments.mean.size();
  Affine map{std::vector<double>(size), std::vector<double>(size)};
  for (std::size_t i = 0; i < size; ++i) {
    const double log_slope = log_scale[i] - 0.5 * std::log(moments.variance[i] + kBatchNormEpsilon);
    map.slope[i] = std::exp(log_slope);
    map.offset[i] = bias[i] - moments.mean[i] * map.slope[i];
    map.log_slope += log_slope;
  }
  return map;
}

template <class Real>
void apply(const Affine& map, bool inverted, const TransformRows<Real>& rows) {
  for (std::size_t b = 0; b < rows.batch; ++b) {
    for (std::size_t i = 0; i < rows.size; ++i) {
      Real& value = rows.values[b * rows.size + i];
      value = static_cast<Real>(inverted ? (value - map.offset[i]) / map.slope[i]
                                         : map.slope[i] * value + map.offset[i]);
    }
    rows.delta_logp[b] += static_cast<Real>(inverted ? map.log_slope : -map.log_slope);
  }
}

/// Cotangents in place; `x` is the data side (B, size). Adds to the gradients of w and b unless
/// empty.
template <class Real>
void pull_back(const BatchMoments& moments, const Affine& map, bool inverted,
               std::span<const Real> x, const BatchShare& share, const TransformRows<Real>& rows,
               std::span<Real> log_scale_bar, std::span<Real> bias_bar) {
  const double sign = inverted ? 1 : -1;
  const Slots slots(rows.batch, share);
  const std::vector<double> delta_logp_bars =
      slot_sums(slots, [&](std::size_t b) { return double(rows.delta_logp[b]); });
  const bool through_moments = moments.batch_share > 0 && !moments.batch_mean.empty() && !inverted;
  std::vector<double> moment_bars;  // (size, 2), Σ of the cotangents of mean and log slope

  for (std::size_t i = 0; i < rows.size; ++i) {
    const double slope = map.slope[i];
    // With y = (x − m) slope + b:  ∂y/∂w = y − b, ∂y/∂b = 1;  x = m + (y − b)/slope gives
    // ∂x/∂w = −(x − m), ∂x/∂b = −1/slope.
    std::vector<double> w_bars, b_bars, mean_bars;
    for (std::size_t slot = 0; slot < slots.count(); ++slot) {
      double w_bar = sign * delta_logp_bars[slot], b_bar = 0, mean_bar = 0;
      for (std::size_t b = slots[slot].first; b < slots[slot].end; ++b) {
        const std::size_t at = b * rows.size + i;
        const double centred = x[at] - moments.mean[i];
        const double bar = rows.values[at];
        w_bar += inverted ? -bar * centred : bar * centred * slope;
        b_bar += inverted ? -bar / slope : bar;
        mean_bar += inverted ? bar : -bar * slope;
        rows.values[at] = static_cast<Real>(inverted ? bar / slope : bar * slope);
      }
      w_bars.push_back(w_bar);
      b_bars.push_back(b_bar);
      mean_bars.push_back(mean_bar);
    }
    if (through_moments) {
      moment_bars.push_back(tree_sum(mean_bars));
      moment_bars.push_back(tree_sum(w_bars));
    }
    if (!log_scale_bar.empty()) {
      log_scale_bar[i] += tree_sum(std::vector<Real>(w_bars.begin(), w_bars.end()));
      bias_bar[i] += tree_sum(std::vector<Real>(b_bars.begin(), b_bars.end()));
    }
  }
  if (!through_moments) return;
  // The batch's own mean and variance depend on x; log slope = w − ½ log(v + ε).
  share.sum(moment_bars);
  const double whole = double(share.whole_of(rows.batch));
  for (std::size_t i = 0; i < rows.size; ++i) {
    const double mean_bar = moment_bars[2 * i];
    const double variance_bar =
        -0.5 * moment_bars[2 * i + 1] / (moments.variance[i] + kBatchNormEpsilon);
    for (std::size_t b = 0; b < rows.batch; ++b) {
      const std::size_t at = b * rows.size + i;
      const double centred = x[at] - moments.batch_mean[i];
      rows.values[at] += static_cast<Real>(
          moments.batch_share * (mean_bar / whole + variance_bar * 2 * centred / (whole - 1)));
    }
  }
}

}  // namespace ffjord
