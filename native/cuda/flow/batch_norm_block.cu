#include <cmath>
#include <variant>
#include <vector>

#include "core/batch_norm.h"
#include "cuda/device/block_sum.h"
#include "cuda/flow/batch_norm_block.h"
#include "cuda/flow/column_sums.h"

namespace ffjord::cuda {
namespace {

// Rows are (B, D), side by side in memory, so that neighbouring threads take neighbouring elements.
// Every kernel here has at most 32 registers.

// Numbers of one element each (D), in float64: what a solve normalises with, what it saw, and the
// map that follows.
template <class Number>
struct NormNumbers {
  Number *mean, *variance;              // used
  Number *batch_mean, *batch_variance;  // of the batch, unbiased; where it trains
  Number *slope, *offset;               // y = slope x + offset
  Number* log_slope;                    // (1): the sum over elements
  Number* batch_share;                  // (1): ∂ mean / ∂ batch mean
};

template <class Number>
NormNumbers<Number> norm_numbers(Number* first, std::size_t size) {
  const auto column = [&](std::size_t c) { return first + c * size; };
  return {column(0), column(1), column(2), column(3),
          column(4), column(5), column(6), column(6) + 1};
}

struct NormSeen : BlockTape {
  NormSeen(std::size_t size, const Stream& stream) : numbers(6 * size + 2, stream) {}

  DeviceArray<double> numbers;  // as norm_numbers
  bool counts = false;          // whether it has moments of the batch
};

struct NormTape : BlockTape {
  std::shared_ptr<const NormSeen> seen;
  DeviceArray<float> x;  // the data side (B, D)
  BatchShare share;      // of the whole batch
};

// Adds up what the processes that share a batch have of `count` numbers.
void sum_over_ranks(DeviceArray<double>& numbers, std::size_t first, std::size_t count,
                    const BatchShare& share, const Stream& stream) {
  if (!share.sums) return;
  std::vector<double> values(count);
  numbers.copy_out(values, stream, first);
  stream.synchronize();
  share.sum(values);
  numbers.copy_in(values, stream, first);
}

// Running statistics and parameters of a block, in the flow's flat buffers.
template <class Number>
struct RunningNumbers {
  Number *mean, *variance, *step;
};

struct ValueTerms {
  static constexpr int kSums = 1;
  const float* values;
  std::size_t columns;
  __device__ void add(std::size_t row, std::size_t column, double (&sums)[kSums]) const {
    sums[0] += values[row * columns + column];
  }
};

struct SquareTerms {
  static constexpr int kSums = 1;
  const float* values;
  std::size_t columns;
  const double* mean;
  __device__ void add(std::size_t row, std::size_t column, double (&sums)[kSums]) const {
    const double centred = values[row * columns + column] - mean[column];
    sums[0] += centred * centred;
  }
};

// Σ ȳ (x − m) and Σ ȳ of cotangents.
struct BarTerms {
  static constexpr int kSums = 2;
  const float *bars, *x;
  std::size_t columns;
  const double* mean;
  __device__ void add(std::size_t row, std::size_t column, double (&sums)[kSums]) const {
    const std::size_t at = row * columns + column;
    sums[0] += bars[at] * (x[at] - mean[column]);
    sums[1] += bars[at];
  }
};

// One block: about 40 FLOPs and 80 bytes an element. As batch_moments and affine_of.
__global__ void set_norm_map(std::size_t size, double lag, bool mixes,
                             RunningNumbers<const float> running, const float* log_scale,
                             const float* bias, NormNumbers<double> to) {
  const double correction = 1 - std::pow(lag, double(*running.step) + 1);
  const double share = mixes ? lag / correction : 0, rest = mixes ? (1 - lag) / correction : 1;
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < size; i += kFlatThreads) {
    double mean = rest * running.mean[i], variance = rest * running.variance[i];
    if (mixes) {
      mean += share * to.batch_mean[i];
      variance += share * to.batch_variance[i];
    }
    const double log_slope = log_scale[i] - 0.5 * std::log(variance + kBatchNormEpsilon);
    to.mean[i] = mean;
    to.variance[i] = variance;
    to.slope[i] = std::exp(log_slope);
    to.offset[i] = bias[i] - mean * to.slope[i];
    sum += log_slope;
  }
  sum = block_sum(sum);
  if (threadIdx.x > 0) return;
  *to.log_slope = sum;
  *to.batch_share = share;
}

struct NormRows {
  std::size_t batch, size;
  float *values, *delta_logp;  // (B, D), (B)
};

// One thread an element: an FMA of float64 and 8 bytes; the first of a row moves its Δlogp.
__global__ void apply_norm(NormRows s, bool inverted, NormNumbers<const double> map) {
  const std::size_t at = flat_index(), i = at % s.size;
  if (at >= s.batch * s.size) return;
  s.values[at] = static_cast<float>(inverted ? (s.values[at] - map.offset[i]) / map.slope[i]
                                             : map.slope[i] * s.values[at] + map.offset[i]);
  if (i == 0)
    s.delta_logp[at / s.size] += static_cast<float>(inverted ? *map.log_slope : -*map.log_slope);
}

// What the sums of a pullback make of each element (D).
struct NormBars {
  const double *centred, *plain;  // Σ ȳ (x − m), Σ ȳ
  const double* delta_logp;       // (1): Σ of Δlogp's cotangents
  double *mean, *variance;        // cotangents
  float *log_scale, *bias;        // gradients that are added to; null: not wanted
};

// One thread an element: some 10 FLOPs, 60 bytes. With y = (x − m) slope + b:  ∂y/∂w = y − b and
// ∂y/∂b = 1;  x = m + (y − b)/slope gives ∂x/∂w = −(x − m) and ∂x/∂b = −1/slope.
__global__ void set_norm_bars(std::size_t size, bool inverted, NormNumbers<const double> map,
                              NormBars s) {
  const std::size_t i = flat_index();
  if (i >= size) return;
  const double slope = map.slope[i];
  const double w_bar =
      inverted ? *s.delta_logp - s.centred[i] : -*s.delta_logp + slope * s.centred[i];
  s.mean[i] = inverted ? s.plain[i] : -slope * s.plain[i];
  s.variance[i] = -0.5 * w_bar / (map.variance[i] + kBatchNormEpsilon);
  if (!s.log_scale) return;
  s.log_scale[i] += static_cast<float>(w_bar);
  s.bias[i] += static_cast<float>(inverted ? -s.plain[i] / slope : s.plain[i]);
}

// One thread an element: up to 8 FLOPs of float64 and 12 bytes. `moving`: the rows of the whole
// batch, whose own mean and variance depend on x; 0 where they do not.
__global__ void pull_norm(NormRows s, bool inverted, std::size_t moving, const float* x,
                          NormNumbers<const double> map, NormBars bars) {
  const std::size_t at = flat_index(), i = at % s.size;
  if (at >= s.batch * s.size) return;
  const double slope = map.slope[i], bar = s.values[at];
  float value = static_cast<float>(inverted ? bar / slope : bar * slope);
  if (moving > 0) {
    const double centred = x[at] - map.batch_mean[i];
    value += static_cast<float>(
        *map.batch_share *
        (bars.mean[i] / double(moving) + bars.variance[i] * 2 * centred / double(moving - 1)));
  }
  s.values[at] = value;
}

// One thread an element. As ffjord::commit.
__global__ void commit_norm(std::size_t size, NormNumbers<const double> saw,
                            RunningNumbers<float> running) {
  const std::size_t i = flat_index();
  if (i >= size) return;
  const double kept = 1 - kBatchNormDecay;
  running.mean[i] =
      static_cast<float>(kept * running.mean[i] + kBatchNormDecay * saw.batch_mean[i]);
  running.variance[i] =
      static_cast<float>(kept * running.variance[i] + kBatchNormDecay * saw.batch_variance[i]);
  if (i == 0) *running.step += 1;
}

class BatchNormBlock : public FlowBlock<float> {
 public:
  BatchNormBlock(const BlockPlace<float>& place, const FlowStream& stream)
      : place_(place),
        lag_(std::get<BatchNorm>(place.block).lag),
        size_(place.size()),
        stream_(stream) {}

  std::unique_ptr<BlockTape> solve(const ChainSolve<float>& call,
                                   ChainState<float>& state) override {
    stream_.enter();
    const NormRows rows = rows_of(state);
    auto tape = std::make_unique<NormTape>();
    tape->reverse = call.reverse();
    const BatchShare& share = tape->share = call.request.share;
    const std::size_t whole = share.whole_of(rows.batch);
    const auto seen = std::make_shared<NormSeen>(size_, stream_);
    tape->seen = seen;
    seen->counts = call.trains() && whole > 1;
    const auto numbers = norm_numbers(seen->numbers.data(), size_);
    if (seen->counts) {
      sum_columns(ValueTerms{rows.values, size_}, rows.batch, size_, 1 / double(whole),
                  numbers.batch_mean, stream_);
      sum_over_ranks(seen->numbers, numbers.batch_mean - numbers.mean, size_, share, stream_);
      sum_columns(SquareTerms{rows.values, size_, numbers.batch_mean}, rows.batch, size_,
                  1 / double(whole - 1), numbers.batch_variance, stream_);
      sum_over_ranks(seen->numbers, numbers.batch_variance - numbers.mean, size_, share, stream_);
    }
    const float* const parameters = place_.parameters.data();
    launch("set_norm_map", set_norm_map, sum_shape<double>(1), stream_, size_, lag_, mixes(*seen),
           running(place_.statistics.data()), parameters + place_.offsets.log_scale,
           parameters + place_.offsets.bias, numbers);

    const auto keep = [&] {
      if (call.request.keep_tape)
        tape->x = DeviceArray<float>::copy_of({rows.values, rows.batch * size_}, stream_);
    };
    if (!tape->reverse) keep();
    launch("apply_norm", apply_norm, flat_shape(rows.batch * size_), stream_, rows, tape->reverse,
           numbers_of(*seen));
    if (tape->reverse) keep();
    return tape;
  }

  void pullback(const BlockTape& any_tape, const ChainPullback<float>& call,
                ChainState<float>& bar) override {
    stream_.enter();
    const auto& tape = dynamic_cast<const NormTape&>(any_tape);
    const NormNumbers<const double> numbers = numbers_of(*tape.seen);
    const NormRows rows = rows_of(bar);
    const std::size_t count = 2 * size_ + 1;  // of sums over rows
    DeviceArray<double> sums(count + 2 * size_, stream_);
    float* const gradients = call.gradients.empty() ? nullptr : call.gradients.data();
    NormBars bars{sums.data(),
                  sums.data() + size_,
                  sums.data() + 2 * size_,
                  sums.data() + count,
                  sums.data() + count + size_,
                  gradients ? gradients + place_.offsets.log_scale : nullptr,
                  gradients ? gradients + place_.offsets.bias : nullptr};
    sum_columns(BarTerms{rows.values, tape.x.data(), size_, numbers.mean}, rows.batch, size_, 1,
                sums.data(), stream_);
    sum_columns(ValueTerms{rows.delta_logp, 1}, rows.batch, 1, 1, sums.data() + 2 * size_, stream_);
    const auto set_bars = [&] {
      launch("set_norm_bars", set_norm_bars, flat_shape(size_), stream_, size_, tape.reverse,
             numbers, bars);
    };
    set_bars();
    const bool moves = mixes(*tape.seen);
    if (moves && tape.share.sums) {
      // Gradients are those of this rank's rows; the moments are all ranks'.
      sum_over_ranks(sums, 0, count, tape.share, stream_);
      bars.log_scale = bars.bias = nullptr;
      set_bars();
    }
    launch("pull_norm", pull_norm, flat_shape(rows.batch * size_), stream_, rows, tape.reverse,
           moves ? tape.share.whole_of(rows.batch) : 0, tape.x.data(), numbers, bars);
  }

  std::shared_ptr<const BlockTape> seen(const BlockTape& tape) const override {
    return dynamic_cast<const NormTape&>(tape).seen;
  }
  void commit(const BlockTape& any_seen, std::span<float> statistics) override {
    const auto& seen = dynamic_cast<const NormSeen&>(any_seen);
    if (!seen.counts) return;
    stream_.enter();
    launch("commit_norm", commit_norm, flat_shape(size_), stream_, size_, numbers_of(seen),
           running(statistics.data()));
  }

 private:
  // Whether the batch's own moments are among those that it is normalised with.
  bool mixes(const NormSeen& seen) const { return seen.counts && lag_ > 0; }

  NormRows rows_of(ChainState<float>& state) const {
    const TransformRows<float> rows = state.rows();
    return {rows.batch, rows.size, rows.values.data(), rows.delta_logp.data()};
  }

  NormNumbers<const double> numbers_of(const NormSeen& seen) const {
    return norm_numbers(seen.numbers.data(), size_);
  }

  template <class Number>
  RunningNumbers<Number> running(Number* statistics) const {
    const BlockOffsets& at = place_.offsets;
    return {statistics + at.running_mean, statistics + at.running_var, statistics + at.step};
  }

  const BlockPlace<float> place_;
  const double lag_;
  const std::size_t size_;
  const FlowStream& stream_;
};

}  // namespace

std::unique_ptr<FlowBlock<float>> make_batch_norm_block(const BlockPlace<float>& place,
                                                        const FlowStream& stream) {
  return std::make_unique<BatchNormBlock>(place, stream);
}

}  // namespace ffjord::cuda
