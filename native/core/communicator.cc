#include "core/communicator.h"

#include <algorithm>
#include <vector>

#include "core/slots.h"

namespace ffjord {
namespace {

// Memory of a sum beside its values, of each of two buffers.
constexpr std::size_t kMostBytes = std::size_t{32} << 20;
// So few are gathered in one go: all bytes go to all, but only one message is waited for.
constexpr std::size_t kSmallBytes = 4096;

// `all` (count, n) → its first n are the sums of the others, as the tree adds.
template <class Number>
void add_rows(std::size_t count, std::span<Number> all) {
  const std::size_t n = all.size() / count;
  add_as_tree(count, [&](std::size_t to, std::size_t from) {
    for (std::size_t i = 0; i < n; ++i) all[to * n + i] += all[from * n + i];
  });
}

template <class Number>
void sum_gathered(Communicator& group, std::span<Number> values) {
  std::vector<Number> all(values.size() * group.size());
  group.gather(std::as_bytes(values), std::as_writable_bytes(std::span(all)));
  add_rows(group.size(), std::span(all));
  std::copy_n(all.begin(), values.size(), values.begin());
}

// Every rank adds up a part of the elements, and all get all parts: 2 (P - 1) / P times the bytes
// leave a rank.
template <class Number>
void sum_in_parts(Communicator& group, std::span<Number> values) {
  const std::size_t ranks = group.size();
  if (values.size_bytes() * ranks <= kSmallBytes) return sum_gathered(group, values);
  const std::size_t part = (values.size() + ranks - 1) / ranks;
  std::vector<Number> parts(part * ranks), received(part * ranks);
  std::copy(values.begin(), values.end(), parts.begin());
  group.exchange(std::as_bytes(std::span(parts)), std::as_writable_bytes(std::span(received)));
  add_rows(ranks, std::span(received));
  group.gather(std::as_bytes(std::span(received).first(part)),
               std::as_writable_bytes(std::span(parts)));
  std::copy_n(parts.begin(), values.size(), values.begin());
}

template <class Number>
void sum_over_ranks(Communicator& group, std::span<Number> values) {
  if (group.size() == 1) return;
  constexpr std::size_t most = kMostBytes / sizeof(Number);
  for (std::size_t first = 0; first < values.size(); first += most)
    sum_in_parts(group, values.subspan(first, std::min(most, values.size() - first)));
}

}  // namespace

void Communicator::sum(std::span<float> values) { sum_over_ranks(*this, values); }
void Communicator::sum(std::span<double> values) { sum_over_ranks(*this, values); }

}  // namespace ffjord
