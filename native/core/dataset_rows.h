// Rows of a training run, samples or their contexts, and how a batch of them is gathered: on the
// device, where that keeps the set and reads the batch first, else on the host. Samples are what
// the flow's first run of fixed transforms makes of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/batch_parts.h"
#include "core/device_memory.h"
#include "core/engine.h"
#include "core/fixed_run.h"
#include "core/row_values.h"

namespace ffjord {

template <class Real>
class DatasetRows : public Rows {
 public:
  /// `run`: null of contexts. `stays`: on the device, from the first solve on that reads it there.
  /// All outlive the rows.
  DatasetRows(DeviceMemory<Real>& memory, std::size_t count, const Input& given,
              const FixedRun* run, bool stays)
      : memory_(memory),
        count_(count),
        width_(given.size() / count),
        run_(run && !run->empty() ? run : nullptr),
        is_context_(!run),
        stays_(stays) {
    if (!run_)
      values_.emplace(memory, given.template as<Real>());
    else if (given.is_float64())
      given_float64_ = given.template as<double>();
    else
      given_float32_ = given.template as<float>();
  }

  /// What an upload made, once the indices are checked against it.
  static const DatasetRows& of(const Rows& any_rows, std::span<const std::uint32_t> indices) {
    const auto& rows = dynamic_cast<const DatasetRows&>(any_rows);
    for (std::uint32_t index : indices) require(index < rows.count_, "row index out of range");
    return rows;
  }

  std::size_t count() const override { return count_; }
  std::size_t width() const { return width_; }
  bool is_context() const { return is_context_; }
  bool stays() const { return stays_; }

  /// (count, width). Samples pass the run at first use, which throws OutsideSupport.
  const RowValues<Real>& values() const {
    if (!values_) map();
    return *values_;
  }
  /// (count) Δlogp of the run; null where there is none.
  const RowValues<Real>* delta_logp() const {
    if (run_ && !values_) map();
    return delta_logp_ ? &*delta_logp_ : nullptr;
  }
  /// (count) Δlogp of the run less what `delta_logp` rounds it to; after `delta_logp` was asked
  /// for.
  std::span<const double> rest() const { return rest_; }

 private:
  void map() const {
    const bool float64 = !given_float64_.empty();
    const Input given = float64 ? Input(given_float64_) : Input(given_float32_);
    std::vector<Real> z(given.size()), delta_logp(count_);
    rest_.clear();  // of a call that threw
    for (std::size_t first = 0; first < count_; first += kRowsAtOnce) {
      const std::size_t batch = std::min(kRowsAtOnce, count_ - first);
      std::vector<double> part = given.subspan(first * width_, batch * width_).as<double>();
      std::vector<double> part_delta_logp(batch);
      numbered_from(first, [&] {
        return run_->map({batch, width_, part, part_delta_logp}, Outside::Refuse, nullptr);
      });
      const std::vector<Real> rounded = rounded_to<Real>(part, width_, first);
      std::copy(rounded.begin(), rounded.end(), z.begin() + first * width_);
      for (double exact : part_delta_logp) {
        delta_logp[rest_.size()] = static_cast<Real>(exact);
        rest_.push_back(exact - double(delta_logp[rest_.size()]));
      }
    }
    values_.emplace(memory_, std::move(z));
    delta_logp_.emplace(memory_, std::move(delta_logp));
    given_float32_ = {};
    given_float64_ = {};
  }

  DeviceMemory<Real>& memory_;
  const std::size_t count_, width_;
  const FixedRun* const run_;
  const bool is_context_, stays_;
  mutable std::vector<float> given_float32_;  // one of them, until they are mapped
  mutable std::vector<double> given_float64_;
  mutable std::optional<RowValues<Real>> values_, delta_logp_;
  mutable std::vector<double> rest_;
};

/// A batch out of data sets, its rows and their contexts. What is gathered on the device waits for
/// `run`, so that indices which several share cross once.
template <class Real>
class BatchGather {
 public:
  explicit BatchGather(DeviceMemory<Real>& memory) : memory_(memory) {}

  /// `target` (indices, any number), which keeps its place until `run`, is read first on the device
  /// or on the host.
  void add(const RowValues<Real>& rows, std::span<const std::uint32_t> indices, bool on_device,
           RowValues<Real>& target) {
    const std::size_t columns = target.size() / indices.size();
    if (!on_device) return gather_rows<Real>(rows.read(), indices, columns, target.on_host());
    if (indices.data() != indices_.data()) run();
    indices_ = indices;
    gathers_.push_back({rows.read_on_device(), columns, target.on_device()});
  }

  void run() {
    if (!gathers_.empty()) memory_.gather(indices_, gathers_);
    gathers_.clear();
  }

 private:
  DeviceMemory<Real>& memory_;
  std::span<const std::uint32_t> indices_;
  std::vector<RowGather<Real>> gathers_;
};

}  // namespace ffjord
