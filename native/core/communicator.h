// What processes that share a job say to each other: bytes of all for all, sums and broadcasts.
// native/distributed has those that exist; nothing here knows a library or a network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/device_values.h"

namespace ffjord {

/// Every call is one of all ranks, in the same order on each. Each ends within the deadline that
/// the communicator was made with, or throws Error(PeerLost); its bytes may then be read and
/// written on as long as the communicator lives, since libraries cannot take back what they began.
/// Not thread-safe.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Among the ranks of this machine.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;
  /// 'single', 'mpi' or 'nccl', and the libraries in words. Any thread.
  virtual std::string transport() const = 0;
  virtual std::string library() const = 0;

  /// The bytes of every rank, which all give as many: `all` (size, own).
  virtual void gather(std::span<const std::byte> own, std::span<std::byte> all) = 0;
  /// Part i of `parts` (size, n) goes to rank i; `received` (size, n) has those of all for this
  /// one.
  virtual void exchange(std::span<const std::byte> parts, std::span<std::byte> received) = 0;
  /// Rank `root` has the bytes for all.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;

  /// Elements added over the ranks as add_as_tree adds slots, so that ranks which have a run of
  /// slots each get the bits of one process that has all. An all-reduce of the library would add in
  /// an order of its own.
  virtual void sum(std::span<float> values);
  virtual void sum(std::span<double> values);
  /// Of values that lie in cards on all ranks: through the host's memory, unless a library goes
  /// from card to card, in an order of its own.
  virtual void sum(DeviceValues& values);
  /// Whether this rank is ready for sums of values in that card. Where one is not, all prepare,
  /// each with its own.
  virtual bool is_prepared(const DeviceValues&) const { return true; }
  virtual void prepare(DeviceValues&) {}

  /// Tells the others that this rank comes to no further call, as one did not end. They may be in
  /// the midst of that one.
  virtual void give_up(const std::string&) noexcept {}
  /// Throws Error(PeerLost) with the reason of a rank that gave up. Calls which wait for others
  /// look by themselves; for those that wait elsewhere.
  virtual void check_peers() {}
  /// Calls from now on wait for the others as long as they take.
  virtual void lift_deadline() noexcept {}
  /// Ends the membership in good order; the last call, which all ranks have come to.
  virtual void leave() = 0;
  /// Ends the processes of all ranks, as this one cannot go on.
  virtual void abort(int exit_code) noexcept = 0;

 private:
  template <class Number>
  void sum_over_ranks(std::span<Number> values);
  template <class Number>
  void sum_few(std::span<Number> values);
  template <class Number>
  void sum_many(std::span<Number> values);

  std::vector<std::byte> parts_, received_;  // of sums
};

}  // namespace ffjord
