#include "distributed/alarm.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/errors.h"
#include "distributed/patience.h"

namespace ffjord::distributed {
namespace {

// Nothing else goes from one rank to another.
constexpr int kTag = 1;
// Seconds that a message takes to leave, or its receiver to end, at most.
constexpr double kLeaving = 0.5;

}  // namespace

// Of every rank by itself: the number for any rank is another one in each library.
Alarm::Alarm(const MpiLibrary& library, int rank, int size)
    : library_(library), rank_(rank), sent_(size), received_(size) {
  for (int from = 0; from < size; ++from) {
    if (from == rank) continue;
    Message& message = received_[from];
    message.pending =
        library_.receive(message.words.data(), int(message.words.size()), library_.byte(), from,
                         kTag, library_.world(), &message.request) == 0;
  }
}

// Where ranks did not end in good order the library may still write: these bytes are left to it.
Alarm::~Alarm() {
  const auto is_pending = [](const Message& message) { return message.pending; };
  if (std::ranges::any_of(received_, is_pending)) new auto(std::move(received_));
  if (std::ranges::any_of(sent_, is_pending)) {
    new auto(std::move(sent_));
    new auto(std::move(own_));
  }
}

bool Alarm::is_done(Message& message) const noexcept {
  int done = 0;
  if (!message.pending) return true;
  if (library_.test(&message.request, &done, library_.no_status()) != 0) done = 1;
  if (done) message.pending = false;
  return done;
}

void Alarm::raise(const std::string& reason) noexcept {
  if (over_) return;
  over_ = true;
  own_.assign(reason.begin(), reason.end());
  own_.resize(std::tuple_size_v<decltype(Message::words)>);
  own_.back() = 0;
  for (int to = 0; to < int(sent_.size()); ++to) {
    if (to == rank_) continue;
    Message& message = sent_[to];
    message.pending = library_.send(own_.data(), int(own_.size()), library_.byte(), to, kTag,
                                    library_.world(), &message.request) == 0;
  }
  // Messages may leave while the library is called alone.
  const auto left = [&](Message& message) { return is_done(message); };
  for (Patience patience; !std::ranges::all_of(sent_, left) && !patience.over(kLeaving);)
    patience.wait();
}

void Alarm::check() {
  for (int from = 0; from < int(received_.size()); ++from) {
    Message& message = received_[from];
    if (!message.pending || !is_done(message) || message.words[0] == 0) continue;
    over_ = true;
    throw Error(ErrorCode::PeerLost,
                "rank " + std::to_string(from) + " goes no further: " + message.words.data());
  }
}

void Alarm::close() noexcept {
  for (Message& message : received_) {
    if (!message.pending) continue;
    library_.cancel(&message.request);
    for (Patience patience; !is_done(message) && !patience.over(kLeaving);) patience.wait();
  }
}

}  // namespace ffjord::distributed
