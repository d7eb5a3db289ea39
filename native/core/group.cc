#include "core/group.h"

#include <algorithm>
#include <bit>

#include "core/as_error.h"
#include "core/errors.h"
#include "core/packed_failure.h"

namespace ffjord {
namespace {

// Flags of a notice: of the end of an iteration, and of a sum.
constexpr std::uint32_t kStop = 1, kTimeUp = 2;
constexpr std::uint32_t kInCard = 1, kUnprepared = 2;

}  // namespace

std::vector<RowRange> Group::shares(std::size_t batch, std::size_t unit) const {
  // Ranks that are no power of two take runs of a larger one's, as even as these allow.
  const std::size_t ranks = size();
  const auto runs = cut_rows(batch, std::has_single_bit(ranks) ? ranks : 4 * std::bit_ceil(ranks));
  const auto place = [&](std::size_t row) {
    return row == batch ? batch : std::min(batch, (row + unit / 2) / unit * unit);
  };
  std::vector<RowRange> shares;
  for (std::size_t rank = 0; rank < ranks; ++rank)
    shares.push_back({place(runs[rank * runs.size() / ranks].first),
                      place(runs[(rank + 1) * runs.size() / ranks - 1].end)});
  return shares;
}

template <class Body>
void Group::call(const Body& body) {
  try {
    body();
  } catch (const SharedFailure&) {
    throw;
  } catch (const std::exception& failure) {
    lost_ = true;
    communicator_->give_up(as_error(failure).what());
    throw SharedFailure{std::current_exception()};
  }
}

const std::vector<Group::Notice>& Group::meet(const Notice& own,
                                              const std::exception_ptr& failure) {
  if (lost_)
    throw SharedFailure{std::make_exception_ptr(
        Error(ErrorCode::PeerLost,
              "this group has lost a rank; end all of them, and go on from the last checkpoint"))};
  own_ = own;
  all_.resize(size());
  const std::vector<Notice>& all = all_;
  call([&] {
    communicator_->gather(std::as_bytes(std::span(&own_, 1)),
                          std::as_writable_bytes(std::span(all_)));
  });
  for (int rank = 0; rank < size(); ++rank)
    if (all[rank].call == Call::Failure) share_failure(rank, failure);
  for (int rank = 1; rank < size(); ++rank)
    if (all[rank].call != all[0].call ||
        (all[0].call != Call::Same && all[rank].value != all[0].value)) {
      ended_ = true;
      throw SharedFailure{std::make_exception_ptr(Error(
          ErrorCode::InvalidArgument, "the ranks have gone different ways: rank 0 comes to " +
                                          words(all[0]) + ", rank " + std::to_string(rank) +
                                          " to " + words(all[rank]) +
                                          "; give all of them the same calls, options and data"))};
    }
  ended_ = false;
  return all;
}

std::string Group::words(const Notice& notice) {
  const auto numbers = [&] { return std::to_string(notice.value) + " numbers"; };
  switch (notice.call) {
    case Call::Sum32:
    case Call::Sum64:
      return "a sum of " + numbers();
    case Call::Broadcast:
      return "a broadcast of " + std::to_string(notice.value) + " bytes";
    case Call::Same:
      return "a comparison";
    case Call::Agree:
      return "the end of an iteration";
    case Call::Finish:
      return "its end";
    case Call::Failure:
      break;
  }
  return "a failure";
}

void Group::announce(const std::exception_ptr& failure) {
  const std::lock_guard lock(mutex_);
  if (size() == 1 || lost_) throw SharedFailure{failure};
  meet({Call::Failure, 0, 0}, failure);
  throw SharedFailure{failure};  // not reached: the meeting has a failure
}

// `own`: what this rank met itself, if it did.
void Group::share_failure(int rank, const std::exception_ptr& own) {
  ended_ = true;
  const bool here = rank == this->rank();
  std::exception_ptr reason;
  call([&] {
    if (here) bytes_ = packed(own);
    count_ = bytes_.size();
    communicator_->broadcast(std::as_writable_bytes(std::span(&count_, 1)), rank);
    bytes_.resize(count_);
    communicator_->broadcast(bytes_, rank);
    reason = here ? own : unpacked(bytes_, rank);
  });
  throw SharedFailure{reason};
}

void Group::sum(std::span<float> values) {
  if (size() == 1) return;
  const std::lock_guard lock(mutex_);
  meet({Call::Sum32, 0, values.size()});
  call([&] { communicator_->sum(values); });
}

void Group::sum(std::span<double> values) {
  if (size() == 1) return;
  const std::lock_guard lock(mutex_);
  meet({Call::Sum64, 0, values.size()});
  call([&] { communicator_->sum(values); });
}

// Ranks whose engines have no card may be among the others.
void Group::sum(DeviceValues& values) {
  if (size() == 1) return;
  const std::lock_guard lock(mutex_);
  const bool prepared = communicator_->is_prepared(values);
  const std::vector<Notice>& all =
      meet({Call::Sum32, kInCard | (prepared ? 0 : kUnprepared), values.count()});
  std::uint32_t every = ~std::uint32_t{0}, any = 0;
  for (const Notice& notice : all) {
    every &= notice.flags;
    any |= notice.flags;
  }
  call([&] {
    if (!(every & kInCard)) return sum_on_host<float>(values, *communicator_);
    if (any & kUnprepared) communicator_->prepare(values);
    communicator_->sum(values);
  });
}

void Group::broadcast(std::span<std::byte> bytes) {
  if (size() == 1) return;
  const std::lock_guard lock(mutex_);
  meet({Call::Broadcast, 0, bytes.size()});
  bytes_.assign(bytes.begin(), bytes.end());
  call([&] { communicator_->broadcast(bytes_, 0); });
  std::copy(bytes_.begin(), bytes_.end(), bytes.begin());
}

void Group::require_same(std::uint64_t fingerprint, const std::string& what) {
  if (size() == 1) return;
  const std::lock_guard lock(mutex_);
  const std::vector<Notice>& all = meet({Call::Same, 0, fingerprint});
  for (int rank = 1; rank < size(); ++rank)
    if (all[rank].value != all[0].value) {
      ended_ = true;
      throw SharedFailure{std::make_exception_ptr(
          Error(ErrorCode::InvalidArgument, "ranks 0 and " + std::to_string(rank) + " differ in " +
                                                what + "; every rank needs the same"))};
    }
}

Group::Signals Group::agree(const Signals& own) {
  if (size() == 1) return own;
  const std::lock_guard lock(mutex_);
  const std::uint32_t flags = (own.stop ? kStop : 0) | (own.time_up ? kTimeUp : 0);
  const std::vector<Notice>& all = meet({Call::Agree, flags, 0});
  const bool stop = std::any_of(all.begin(), all.end(),
                                [](const Notice& notice) { return (notice.flags & kStop) != 0; });
  ended_ = stop;
  return {stop, (all[0].flags & kTimeUp) != 0};
}

void Group::finish() {
  const std::lock_guard lock(mutex_);
  if (lost_ || finished_) return;
  communicator_->lift_deadline();
  meet({Call::Finish, 0, 0});
  finished_ = true;
}

void Group::leave() {
  together([&] { finish(); });
  const std::lock_guard lock(mutex_);
  if (!lost_) communicator_->leave();
}

}  // namespace ffjord
