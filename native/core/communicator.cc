#include "core/communicator.h"

#include <algorithm>
#include <vector>

#include "core/slots.h"

namespace ffjord {
namespace {

// Memory that sums keep beside their values, of each of two buffers.
constexpr std::size_t kMostBytes = std::size_t{32} << 20;
// So few are gathered in one go.
constexpr std::size_t kSmallBytes = 4096;

template <class Number>
std::span<Number> room_for(std::size_t count, std::vector<std::byte>& memory) {
  if (memory.size() < count * sizeof(Number)) memory.resize(count * sizeof(Number));
  return {reinterpret_cast<Number*>(memory.data()), count};
}

// `all` (count, n) → its first n are the sums of the others, as the tree adds.
template <class Number>
void add_rows(std::size_t count, std::span<Number> all) {
  const std::size_t n = all.size() / count;
  add_as_tree(count, [&](std::size_t to, std::size_t from) {
    for (std::size_t i = 0; i < n; ++i) all[to * n + i] += all[from * n + i];
  });
}

}  // namespace

// All bytes go to all, but only one message is waited for.
template <class Number>
void Communicator::sum_few(std::span<Number> values) {
  const std::size_t ranks = size(), count = values.size();
  const auto own = room_for<Number>(count, parts_),
             all = room_for<Number>(count * ranks, received_);
  std::copy(values.begin(), values.end(), own.begin());
  gather(std::as_bytes(own), std::as_writable_bytes(all));
  add_rows(ranks, all);
  std::copy_n(all.begin(), count, values.begin());
}

// Every rank adds up a part of the elements, and all get all parts: 2 (P - 1) / P times the bytes
// leave a rank.
template <class Number>
void Communicator::sum_many(std::span<Number> values) {
  const std::size_t ranks = size(), part = (values.size() + ranks - 1) / ranks;
  const auto parts = room_for<Number>(part * ranks, parts_),
             received = room_for<Number>(part * ranks, received_);
  std::copy(values.begin(), values.end(), parts.begin());
  exchange(std::as_bytes(parts), std::as_writable_bytes(received));
  add_rows(ranks, received);
  gather(std::as_bytes(received.first(part)), std::as_writable_bytes(parts));
  std::copy_n(parts.begin(), values.size(), values.begin());
}

template <class Number>
void Communicator::sum_over_ranks(std::span<Number> values) {
  if (size() == 1) return;
  if (values.size_bytes() * size() <= kSmallBytes) return sum_few(values);
  constexpr std::size_t most = kMostBytes / sizeof(Number);
  for (std::size_t first = 0; first < values.size(); first += most)
    sum_many(values.subspan(first, std::min(most, values.size() - first)));
}

void Communicator::sum(std::span<float> values) { sum_over_ranks(values); }
void Communicator::sum(std::span<double> values) { sum_over_ranks(values); }
void Communicator::sum(DeviceValues& values) { sum_on_host<float>(values, *this); }

}  // namespace ffjord
