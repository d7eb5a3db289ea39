// Values in the memory of a card, as processes that add up theirs see them. Nothing here knows
// CUDA: a library that goes from card to card does.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace ffjord {

class DeviceValues {
 public:
  virtual ~DeviceValues() = default;

  virtual std::size_t count() const = 0;
  /// In the card's memory.
  virtual float* on_card() = 0;
  /// The cudaStream_t that makes them; what reads them follows on it.
  virtual void* stream() const = 0;
  /// Whether the card is past all that was put on the stream. Throws where it failed at it.
  virtual bool is_done() const = 0;
  /// The card by its place in the machine, which no other has.
  virtual std::string card() const = 0;
  /// Makes the card that of the calling thread.
  virtual void enter() const = 0;

  /// On the host, valid until the next call.
  virtual std::span<const float> on_host() const = 0;
  /// From the host.
  virtual void assign(std::span<const float> values) = 0;
};

/// Adds up, by `sums` of values on the host, what lies elsewhere.
template <class Real, class Values, class Sums>
void sum_on_host(Values& values, Sums& sums) {
  const std::span<const Real> own = values.on_host();
  std::vector<Real> all(own.begin(), own.end());
  sums.sum(std::span<Real>(all));
  values.assign(all);
}

}  // namespace ffjord
