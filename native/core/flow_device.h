// Where a flow's blocks with dynamics run and its weights lie: the host, or a device with memory of
// its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/continuous_block.h"
#include "core/likelihood.h"
#include "core/optimizer.h"

namespace ffjord {

/// A flat buffer of a flow. What the host asks for or hands over crosses to the device and back,
/// where that has memory of its own.
template <class Real>
class FlatBuffer {
 public:
  virtual ~FlatBuffer() = default;

  /// In the memory of the blocks with dynamics, which may change them until the next call: not to
  /// be followed by the host.
  virtual std::span<Real> values() = 0;

  /// On the host, valid until the next call; copied only where `values` may have changed since.
  virtual std::span<const Real> on_host() const = 0;
  /// A few of them.
  virtual std::vector<Real> at(std::span<const std::size_t> places) const = 0;

  void assign(std::span<const Real> values) { put(0, values); }
  virtual void put(std::size_t first, std::span<const Real> values) = 0;
  virtual void fill_zero() = 0;
  virtual void add(std::size_t first, std::span<const Real> values) = 0;
};

/// target (indices, columns) ← rows (any number, columns), both in the device's memory.
template <class Real>
struct RowGather {
  std::span<const Real> rows;
  std::size_t columns = 0;
  std::span<Real> target;
};

template <class Real>
class FlowDevice {
 public:
  virtual ~FlowDevice() = default;

  /// Whether its memory is the host's.
  virtual bool is_host() const = 0;
  /// Whether a data set of so many numbers may stay there beside what solves need.
  virtual bool has_room(std::size_t count) const = 0;
  /// Blocks and buffers live at most as long as this.
  virtual std::unique_ptr<ContinuousBlock<Real>> make_block(const BlockContext<Real>& context) = 0;
  /// Of zeros.
  virtual std::unique_ptr<FlatBuffer<Real>> make_buffer(std::size_t count) = 0;
  /// As optimizer_step, on arrays in the device's memory.
  virtual double step(const OptimizerOptions& options, const ParameterLayout& layout,
                      const OptimizerArrays<Real>& arrays) = 0;
  virtual void gather(std::span<const std::uint32_t> indices,
                      std::span<const RowGather<Real>> gathers) = 0;
  /// As Flow::likelihood, of rows in the device's memory.
  virtual PendingMeans likelihood(const BaseRows<const Real>& rows) = 0;
  /// As ffjord::seed_likelihood, in the device's memory.
  virtual void seed_likelihood(const LikelihoodBar& bar, std::span<const Real> z,
                               const BaseRows<Real>& bars) = 0;
};

}  // namespace ffjord
