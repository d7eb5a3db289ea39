// Memory that a flow's rows and weights lie in: the host's, or that of a device, and what moves
// within it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/flow_description.h"
#include "core/image_visit.h"
#include "core/slots.h"

namespace ffjord {

/// A flat array. What the host asks for or hands over crosses to the device and back, where that
/// has memory of its own.
template <class Real>
class FlatBuffer {
 public:
  virtual ~FlatBuffer() = default;

  /// In the device's memory, where blocks may change them until the next call: not to be followed
  /// by the host.
  virtual std::span<Real> values() = 0;

  /// On the host, valid until the next call; copied only where `values` may have changed since.
  virtual std::span<const Real> on_host() const = 0;
  /// A few of them.
  virtual std::vector<Real> at(std::span<const std::size_t> places) const = 0;

  virtual void assign(std::span<const Real> values) = 0;
  virtual void fill_zero() = 0;
  /// Adds as many values, from the host.
  virtual void add(std::span<const Real> values) = 0;
  /// Adds up what all processes have here.
  virtual void sum(SharedSums& sums) { sum_on_host<Real>(*this, sums); }
};

/// target (indices, columns) ← rows (any number, columns), both in the device's memory.
template <class Real>
struct RowGather {
  std::span<const Real> rows;
  std::size_t columns = 0;
  std::span<Real> target;
};

/// The same on the host.
template <class Real>
void gather_rows(std::span<const Real> rows, std::span<const std::uint32_t> indices,
                 std::size_t columns, std::span<Real> target) {
  for (std::size_t i = 0; i < indices.size(); ++i)
    std::copy_n(rows.begin() + indices[i] * columns, columns, target.begin() + i * columns);
}

/// Some columns of rows, in the device's memory: of an array (B, width) those from `first` on.
template <class Value>
struct Columns {
  std::span<Value> values;
  std::size_t width = 0, first = 0;
};

/// Images whose levels lie in a device's memory, which draws and maps what a visit reads.
template <class Real>
class DeviceImages {
 public:
  virtual ~DeviceImages() = default;
  /// z (indices, D) and Δlogp (indices) of the rows behind the run of fixed transforms, both in the
  /// device's memory.
  virtual void visit(std::span<const std::uint32_t> indices, std::uint32_t visit, std::span<Real> z,
                     std::span<Real> delta_logp) = 0;
};

template <class Real>
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;

  /// Whether it is the host's.
  virtual bool is_host() const = 0;
  /// Whether a data set of so many numbers may stay there beside what solves need.
  virtual bool has_room(std::size_t count) const = 0;
  /// An array of zeros, which lives at most as long as this.
  virtual std::unique_ptr<FlatBuffer<Real>> make_buffer(std::size_t count) = 0;
  virtual void gather(std::span<const std::uint32_t> indices,
                      std::span<const RowGather<Real>> gathers) = 0;
  /// Images that stay there; none in the host's memory, which reads them where they lie. `run` is
  /// of maps of single elements, which are defined for all that visits read.
  virtual std::unique_ptr<DeviceImages<Real>> keep_images(const ImageBytes&,
                                                          std::span<const Block> /* run */) {
    return nullptr;
  }
  /// `count` columns of every row.
  virtual void copy_columns(std::size_t batch, std::size_t count, const Columns<const Real>& source,
                            const Columns<Real>& target) = 0;
};

}  // namespace ffjord
