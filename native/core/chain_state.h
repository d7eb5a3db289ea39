// The rows of a solve as they pass along a chain of blocks: the part that still moves, and the
// parts that splits put aside on their way to the base.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "core/row_values.h"
#include "core/transforms.h"

namespace ffjord {

template <class Real>
struct ChainState {
  std::size_t batch = 0;
  RowValues<Real> z;                   // (B, current size)
  RowValues<Real> delta_logp;          // (B)
  RowValues<Real> regularisers;        // (B, R)
  std::vector<RowValues<Real>> aside;  // factored-out parts, (B, size) each, first split first

  /// How many numbers a row of the moving part has.
  std::size_t size() const { return z.size() / batch; }

  /// In the memory of the device.
  TransformRows<Real> rows() { return {batch, size(), z.on_device(), delta_logp.on_device()}; }

  /// z (B, n) → z (B, kept) and one more part aside (B, n − kept).
  void split(std::size_t kept) {
    RowValues<Real> front = z.zeros_like(batch * kept),
                    back = z.zeros_like(z.size() - front.size());
    const std::span<const Real> whole = z.read_on_device();
    const std::size_t size = this->size(), rest = size - kept;
    DeviceMemory<Real>& memory = z.memory();
    memory.copy_columns(batch, kept, {whole, size, 0}, {front.on_device(), kept, 0});
    memory.copy_columns(batch, rest, {whole, size, kept}, {back.on_device(), rest, 0});
    aside.push_back(std::move(back));
    z = std::move(front);
  }

  /// Undoes a split: the last part aside goes behind the moving part.
  void join() {
    const RowValues<Real>& back = aside.back();
    const std::size_t kept = size(), rest = back.size() / batch;
    RowValues<Real> joined = z.zeros_like(batch * (kept + rest));
    const std::span<Real> whole = joined.on_device();
    DeviceMemory<Real>& memory = z.memory();
    memory.copy_columns(batch, kept, {z.read_on_device(), kept, 0}, {whole, kept + rest, 0});
    memory.copy_columns(batch, rest, {back.read_on_device(), rest, 0}, {whole, kept + rest, kept});
    z = std::move(joined);
    aside.pop_back();
  }

  /// Puts the last part aside before the moving part: the order of z at the base.
  void collect() {
    std::swap(z, aside.back());
    join();
  }

  /// Undoes `collect`: cuts a part of `size` off the front and puts it aside.
  void set_aside(std::size_t size) {
    split(size);
    std::swap(z, aside.back());
  }
};

}  // namespace ffjord
