#include "distributed/nccl_communicator.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "distributed/host_name.h"
#include "distributed/patience.h"

namespace ffjord::distributed {
namespace {

// Words of a fixed length, as ranks give as many bytes each.
struct Words {
  char text[256] = {};
  explicit Words(const std::string& words = "") {
    std::copy_n(words.begin(), std::min(words.size(), sizeof(text) - 1), text);
  }
};

template <class Value>
std::vector<Value> gathered(Communicator& ranks, const Value& own) {
  std::vector<Value> all(ranks.size());
  ranks.gather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)));
  return all;
}

std::string rank_words(std::size_t rank) { return "rank " + std::to_string(rank); }

}  // namespace

// What a rank brings to a link.
struct NcclCommunicator::Offer {
  std::uint64_t host = 0, card = 0;
  std::int64_t version = 0;
  Words unusable;  // why it has no library
};

// Why a rank is not linked; no words where it is.
struct NcclCommunicator::Failure {
  int late = 0;  // of others
  Words words;
};

NcclCommunicator::NcclCommunicator(std::unique_ptr<Communicator> host, double deadline,
                                   std::string library)
    : host_(std::move(host)),
      deadline_(deadline),
      name_(std::move(library)),
      transport_(host_->transport()) {}

std::string NcclCommunicator::transport() const {
  const std::lock_guard lock(told_);
  return transport_;
}

std::string NcclCommunicator::library() const {
  const std::lock_guard lock(told_);
  return host_->library() + words_;
}

void NcclCommunicator::tell(const std::string& transport, const std::string& words) {
  const std::lock_guard lock(told_);
  transport_ = transport;
  words_ = words;
}

void NcclCommunicator::sum(DeviceValues& values) {
  if (link_)
    link_->sum(values, deadline_);
  else
    Communicator::sum(values);
}

void NcclCommunicator::prepare(DeviceValues& values) {
  if (link_) link_->close(deadline_);
  link_.reset();
  std::string reason = obstacle(values);
  if (reason.empty()) reason = link(values);
  card_ = values.card();
  if (reason.empty())
    tell("nccl", "; gradients of cards by " + library_->version() + " (" + library_->path() + ")");
  else
    tell(host_->transport(), "; gradients of cards through the memory of the host, as " + reason);
}

NcclCommunicator::Offer NcclCommunicator::offer(const DeviceValues& values) {
  Offer offer{hash_of_host(), std::hash<std::string>{}(values.card()), 0, Words()};
  try {
    if (!library_) library_.emplace(name_);
    offer.version = library_->version_code();
  } catch (const Error& error) {
    offer.unusable = Words(error.what());
  }
  return offer;
}

// What keeps these ranks from a link, the same on all; empty where nothing does.
std::string NcclCommunicator::obstacle(const DeviceValues& values) {
  const std::vector<Offer> offers = gathered(*host_, offer(values));
  for (std::size_t rank = 0; rank < offers.size(); ++rank)
    if (offers[rank].version == 0)
      return "on " + rank_words(rank) + " NCCL does not open: " + offers[rank].unusable.text;
  for (std::size_t rank = 1; rank < offers.size(); ++rank) {
    if (offers[rank].version != offers[0].version)
      return rank_words(rank) + " has another version of NCCL than rank 0";
    for (std::size_t other = 0; other < rank; ++other)
      if (offers[rank].host == offers[other].host && offers[rank].card == offers[other].card)
        return "ranks " + std::to_string(other) + " and " + std::to_string(rank) +
               " share a card, which NCCL refuses";
  }
  return "";
}

// Links the cards of all ranks, or of none. A rank that fails waits for the others to see it, for
// which they have half of the deadline.
std::string NcclCommunicator::link(DeviceValues& values) {
  values.enter();
  NcclLibrary::UniqueId id{};
  Failure own;
  if (rank() == 0)
    if (const int code = library_->get_unique_id(&id); code != NcclLibrary::kSuccess)
      own.words = Words("NCCL makes no id: " + library_->words(code));
  std::string reason = cause(own);
  if (!reason.empty()) return reason;
  host_->broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
  try {
    link_.emplace(*library_, *host_, id, deadline_ / 2);
  } catch (const OthersAreLate& late) {
    own = {1, Words(late.what())};
  } catch (const Error& error) {
    own.words = Words(error.what());
  }
  reason = cause(own);
  if (!reason.empty()) link_.reset();
  return reason;
}

// The failure of the first rank that has one, and did not only wait for others.
std::string NcclCommunicator::cause(const Failure& own) {
  const std::vector<Failure> all = gathered(*host_, own);
  for (const int late : {0, 1})
    for (std::size_t rank = 0; rank < all.size(); ++rank)
      if (const Failure& one = all[rank]; one.words.text[0] != 0 && one.late == late)
        return "on " + rank_words(rank) + ": " + one.words.text;
  return "";
}

void NcclCommunicator::leave() {
  if (link_) link_->close(deadline_);
  link_.reset();
  host_->leave();
}

}  // namespace ffjord::distributed
