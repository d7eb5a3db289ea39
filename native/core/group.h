// Processes that train one model together. Before each of their calls they meet, and each says
// where it stands: one that failed says why, and all throw its reason in place of waiting for it;
// ranks that come to different calls are told so.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/communicator.h"
#include "core/slots.h"

namespace ffjord {

/// Thrown through whatever runs when the group meets a failure: `reason` is that of the rank, and
/// what `Group::together` throws. It is no Error, so that nothing on its way takes it for its own.
struct SharedFailure {
  std::exception_ptr reason;
};

class Group : public SharedSums {
 public:
  explicit Group(std::unique_ptr<Communicator> communicator)
      : communicator_(std::move(communicator)) {}

  const Communicator& communicator() const { return *communicator_; }
  int rank() const { return communicator_->rank(); }
  int size() const { return communicator_->size(); }

  /// The rows of each rank of a batch of `batch`: runs of whole slots, which begin at a multiple of
  /// `unit` rows. Empty ones where the batch has too few rows for all.
  std::vector<RowRange> shares(std::size_t batch, std::size_t unit = 1) const;

  // Calls of all ranks. A failure of any ends them by SharedFailure.
  void sum(std::span<float> values) override;
  void sum(std::span<double> values) override;
  void sum(DeviceValues& values) override;
  /// Bytes of rank 0 for all; every rank has as many.
  void broadcast(std::span<std::byte> bytes);
  /// Throws where ranks have different numbers, Error(InvalidArgument) that names `what`.
  void require_same(std::uint64_t fingerprint, const std::string& what);

  struct Signals {
    bool stop = false;     ///< of any rank
    bool time_up = false;  ///< of rank 0
  };
  /// What all come to of what each says.
  Signals agree(const Signals& own);

  /// Runs `body`, all of whose calls of the group are those of the other ranks. What it throws on
  /// one rank is thrown on all, at their next call.
  template <class Body>
  auto together(const Body& body) {
    try {
      try {
        return body();
      } catch (const SharedFailure&) {
        throw;
      } catch (...) {
        announce(std::current_exception());
      }
    } catch (const SharedFailure& shared) {
      std::rethrow_exception(shared.reason);
    }
  }

  /// Whether the last call ended the work of all ranks, by a failure or a stop. Any thread.
  bool ended() const { return ended_; }
  /// A call of all ranks, behind which none may follow. It has no deadline: those that are done may
  /// wait for long until rank 0 has written what it writes.
  void finish();
  /// Ends the membership in good order, behind `finish`. On the thread that joined.
  void leave();
  /// Ends the processes of all ranks.
  void abort(int exit_code) noexcept { communicator_->abort(exit_code); }

 private:
  enum class Call : std::uint32_t { Failure, Sum32, Sum64, Broadcast, Same, Agree, Finish };
  struct Notice {
    Call call;
    std::uint32_t flags;
    std::uint64_t value;
  };
  const std::vector<Notice>& meet(const Notice& own, const std::exception_ptr& failure = nullptr);
  [[noreturn]] void announce(const std::exception_ptr& failure);
  [[noreturn]] void share_failure(int rank, const std::exception_ptr& own);
  static std::string words(const Notice& notice);

  template <class Body>
  void call(const Body& body);

  std::mutex mutex_;  // calls come from the threads of a model and of the group
  const std::unique_ptr<Communicator> communicator_;
  Notice own_;  // as the communicator's calls want their bytes: they live as long as it
  std::vector<Notice> all_;
  std::uint64_t count_ = 0;
  std::vector<std::byte> bytes_;
  bool lost_ = false;  // a call did not end: no other may follow
  bool finished_ = false;
  std::atomic<bool> ended_ = false;
};

}  // namespace ffjord
