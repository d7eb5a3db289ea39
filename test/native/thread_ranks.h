// Threads as the ranks of a group, and what checks of groups have in common.
#pragma once

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/as_error.h"
#include "core/group.h"
#include "core/slots.h"

namespace checks {

using ffjord::Communicator;
using ffjord::Group;

// Ranks of one process.
struct Meeting {
  explicit Meeting(int size) : size(size), here(size), given(size) {}
  const int size;
  std::barrier<> here;
  std::vector<std::span<const std::byte>> given;
  std::mutex told;
  std::string alarm;  // of a rank that gave up
};

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return meeting_.size; }
  int local_rank() const override { return rank_; }
  int local_size() const override { return meeting_.size; }
  std::string transport() const override { return "threads"; }
  std::string library() const override { return "none"; }
  void gather(std::span<const std::byte> own, std::span<std::byte> all) override {
    share(own, [&](int from, std::span<const std::byte> bytes) {
      std::copy(bytes.begin(), bytes.end(), all.begin() + from * own.size());
    });
  }
  void exchange(std::span<const std::byte> parts, std::span<std::byte> received) override {
    const std::size_t part = parts.size() / meeting_.size;
    share(parts, [&](int from, std::span<const std::byte> bytes) {
      std::copy_n(bytes.begin() + rank_ * part, part, received.begin() + from * part);
    });
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    share(bytes, [&](int from, std::span<const std::byte> given) {
      if (from == root && from != rank_) std::copy(given.begin(), given.end(), bytes.begin());
    });
  }
  void give_up(const std::string& reason) noexcept override {
    const std::lock_guard lock(meeting_.told);
    if (meeting_.alarm.empty())
      meeting_.alarm = "rank " + std::to_string(rank_) + " goes no further: " + reason;
  }
  void check_peers() override {
    const std::lock_guard lock(meeting_.told);
    if (!meeting_.alarm.empty()) throw ffjord::Error(ffjord::ErrorCode::PeerLost, meeting_.alarm);
  }
  void leave() override {}
  void abort(int code) noexcept override { std::_Exit(code); }

 private:
  template <class Take>
  void share(std::span<const std::byte> own, const Take& take) {
    meeting_.given[rank_] = own;
    meeting_.here.arrive_and_wait();
    for (int from = 0; from < meeting_.size; ++from) take(from, meeting_.given[from]);
    meeting_.here.arrive_and_wait();
  }

  Meeting& meeting_;
  const int rank_;
};

// Runs `body(rank, communicator)` on a thread a rank.
inline void run_ranks(int size,
                      const std::function<void(int, std::unique_ptr<Communicator>)>& body) {
  Meeting meeting(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back(
        [&, rank] { body(rank, std::make_unique<ThreadCommunicator>(meeting, rank)); });
  for (std::thread& thread : threads) thread.join();
}

// Of which no two orders of a sum give the same bits.
inline float term(int rank, std::size_t i) {
  return std::sin(float(1 + rank * 7919 + i)) * std::pow(10.f, float((rank * 5 + i) % 7));
}

template <class Number>
Number tree(int ranks, std::size_t i) {
  std::vector<Number> terms;
  for (int rank = 0; rank < ranks; ++rank) terms.push_back(term(rank, i));
  return ffjord::tree_sum(terms);
}

// What a call throws: its code and message.
template <class Body>
std::pair<int, std::string> thrown(Group& group, const Body& body) {
  try {
    group.together(body);
  } catch (const std::exception& failure) {
    const ffjord::Error error = ffjord::as_error(failure);
    return {int(error.code), error.what()};
  }
  return {-1, ""};
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace checks
