// How a rank that goes no further ends the waiting of the others: a message to each, which a rank
// looks for while it waits. A sum has no other way to tell: those who are in it would wait until
// their deadline.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "distributed/mpi_library.h"

namespace ffjord::distributed {

class Alarm {
 public:
  /// Receives from now on. `library` outlives it.
  Alarm(const MpiLibrary& library, int rank, int size);
  Alarm(const Alarm&) = delete;
  ~Alarm();

  /// Tells the others why this rank ends, once, and nothing where another has told it so.
  void raise(const std::string& reason) noexcept;
  /// Throws Error(PeerLost) with the reason of a rank that ended.
  void check();
  /// Receives no longer.
  void close() noexcept;

 private:
  // A message to or from a rank.
  struct Message {
    MpiLibrary::Handle request = 0;
    bool pending = false;
    std::array<char, 512> words{};  // that are received
  };
  bool is_done(Message& message) const noexcept;

  const MpiLibrary& library_;
  const int rank_;
  std::vector<char> own_;                 // the words that are sent
  std::vector<Message> sent_, received_;  // of each rank
  bool over_ = false;                     // an alarm was raised, here or elsewhere
};

}  // namespace ffjord::distributed
