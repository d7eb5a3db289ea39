// Rows of a training run, samples or their contexts, and how a batch of them is gathered: on the
// device, where that keeps the set and reads the batch first, else on the host. Of a flow that
// begins with fixed transforms the device keeps what these make of the rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/batch_parts.h"
#include "core/chain_state.h"
#include "core/engine.h"
#include "core/host_device.h"
#include "core/row_values.h"

namespace ffjord {

/// Rows behind a flow's first transforms, in the device's memory: z (N, D) and Δlogp (N).
template <class Real>
struct MappedRows {
  std::unique_ptr<FlatBuffer<Real>> z, delta_logp;
};

template <class Real>
class DatasetRows : public Rows {
 public:
  /// `stays`: on the device, from the first solve on that reads it there.
  DatasetRows(std::size_t count, RowValues<Real> values, bool stays)
      : count_(count), values_(std::move(values)), stays_(stays) {}

  /// What an upload made, once the indices are checked against it.
  static const DatasetRows& of(const Rows& any_rows, std::span<const std::uint32_t> indices) {
    const auto& rows = dynamic_cast<const DatasetRows&>(any_rows);
    for (std::uint32_t index : indices) require(index < rows.count_, "row index out of range");
    return rows;
  }

  std::size_t count() const override { return count_; }
  std::size_t width() const { return values_.size() / count_; }
  const RowValues<Real>& values() const { return values_; }  ///< (count, width)
  bool stays() const { return stays_; }

  /// The rows after `map` (of a ChainState), which must never change: it is called at first use,
  /// for some rows at a time.
  template <class Map>
  const MappedRows<Real>& mapped(FlowDevice<Real>& device, const Map& map) const {
    if (mapped_.z) return mapped_;
    MappedRows<Real> made{device.make_buffer(values_.size()), device.make_buffer(count_)};
    for (std::size_t first = 0; first < count_; first += kRowsAtOnce) {
      const std::size_t batch = std::min(kRowsAtOnce, count_ - first);
      const auto part = std::span(values_.read()).subspan(first * width(), batch * width());
      ChainState<Real> state{batch,
                             {device, {part.begin(), part.end()}},
                             RowValues<Real>::zeros(device, batch),
                             RowValues<Real>::zeros(device, 0),
                             {}};
      map(state);
      made.z->put(first * width(), state.z.read());
      made.delta_logp->put(first, state.delta_logp.read());
    }
    return mapped_ = std::move(made);
  }

 private:
  const std::size_t count_;
  const RowValues<Real> values_;
  const bool stays_;
  mutable MappedRows<Real> mapped_;  // empty before its first use
};

/// One batch out of several sets, at the same indices: what is gathered on the device waits for
/// `run`, so that the indices cross once.
template <class Real>
class BatchGather {
 public:
  BatchGather(FlowDevice<Real>& device, std::span<const std::uint32_t> indices)
      : device_(device), indices_(indices) {}

  /// `target` (indices, width), which keeps its place until `run`, is read first on the device or
  /// on the host.
  void add(const DatasetRows<Real>& rows, bool on_device, RowValues<Real>& target) {
    if (on_device && rows.stays())
      add(rows.values().read_on_device(), target);
    else
      gather_rows<Real>(rows.values().read(), indices_, rows.width(), target.on_host());
  }
  /// Of rows in the device's memory.
  void add(std::span<const Real> rows_on_device, RowValues<Real>& target) {
    gathers_.push_back({rows_on_device, target.size() / indices_.size(), target.on_device()});
  }

  void run() const {
    if (!gathers_.empty()) device_.gather(indices_, gathers_);
  }

 private:
  FlowDevice<Real>& device_;
  const std::span<const std::uint32_t> indices_;
  std::vector<RowGather<Real>> gathers_;
};

}  // namespace ffjord
