// Ranks that an MPI launcher started. Calls do not block in the library: they are started, and
// tested until they are done or the deadline has passed, so that a rank that hangs is found, and
// waiting ranks leave their cores to others.
#pragma once

#include <functional>
#include <optional>

#include "core/communicator.h"
#include "distributed/alarm.h"
#include "distributed/mpi_library.h"

namespace ffjord::distributed {

class MpiCommunicator : public Communicator {
 public:
  /// Initialises the library. Throws Error(PeerLost) where it does not see the launcher's ranks.
  MpiCommunicator(MpiLibrary library, const Launch& launch, double deadline);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  std::string transport() const override { return "mpi"; }
  std::string library() const override { return name_; }

  void gather(std::span<const std::byte> own, std::span<std::byte> all) override;
  void exchange(std::span<const std::byte> parts, std::span<std::byte> received) override;
  void broadcast(std::span<std::byte> bytes, int root) override;
  void give_up(const std::string& reason) noexcept override;
  void check_peers() override;
  void lift_deadline() noexcept override;
  void leave() override;
  void abort(int exit_code) noexcept override;

 private:
  using Start = std::function<int(MpiLibrary::Handle* request)>;
  void run(const char* what, const Start& start);
  void require_success(const char* what, int code) const;
  void find_local_ranks();

  const MpiLibrary library_;
  const std::string name_;
  double deadline_;
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
  bool left_ = false;
  std::optional<Alarm> alarm_;  // of ranks that are known to be all
};

}  // namespace ffjord::distributed
