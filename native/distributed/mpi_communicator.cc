#include "distributed/mpi_communicator.h"

#include <functional>
#include <limits>
#include <vector>

#include "core/errors.h"
#include "distributed/host_name.h"
#include "distributed/patience.h"

namespace ffjord::distributed {

MpiCommunicator::MpiCommunicator(MpiLibrary library, const Launch& launch, double deadline)
    : library_(std::move(library)),
      name_(library_.version() + " (" + library_.path() + ")"),
      deadline_(deadline) {
  library_.initialise();
  require_success("MPI_Comm_rank", library_.comm_rank(library_.world(), &rank_));
  require_success("MPI_Comm_size", library_.comm_size(library_.world(), &size_));
  if (size_ != launch.size)
    throw Error(ErrorCode::PeerLost,
                launch.name + " started " + std::to_string(launch.size) + " ranks, of which " +
                    name_ + " sees " + std::to_string(size_) +
                    ": the library and the launcher are of different makes; start the ranks by "
                    "the launcher of that library, or name the launcher's library in the "
                    "environment's FFJORD_MPI");
  alarm_.emplace(library_, rank_, size_);
  find_local_ranks();
}

void MpiCommunicator::find_local_ranks() {
  const std::uint64_t own = hash_of_host();
  std::vector<std::uint64_t> hosts(size_);
  gather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(hosts)));
  local_size_ = 0;
  for (int other = 0; other < size_; ++other) {
    if (hosts[other] != own) continue;
    if (other < rank_) ++local_rank_;
    ++local_size_;
  }
}

void MpiCommunicator::require_success(const char* what, int code) const {
  if (code == 0) return;
  std::string text(8192, '\0');
  int length = 0;
  if (library_.error_string(code, text.data(), &length) != 0) length = 0;
  throw Error(ErrorCode::PeerLost, std::string(what) + " of " + name_ + " failed: " +
                                       text.substr(0, length) + "; go on from the last checkpoint");
}

void MpiCommunicator::run(const char* what, const Start& start) {
  MpiLibrary::Handle request = 0;
  require_success(what, start(&request));
  int done = 0;
  for (Patience patience;; patience.wait()) {
    require_success(what, library_.test(&request, &done, library_.no_status()));
    if (done) return;
    if (patience.over(kLong)) check_peers();
    if (patience.over(deadline_)) throw OthersAreLate(rank_, deadline_);
  }
}

void MpiCommunicator::gather(std::span<const std::byte> own, std::span<std::byte> all) {
  const int count = static_cast<int>(own.size());
  run("MPI_Iallgather", [&](auto* request) {
    return library_.allgather(own.data(), count, library_.byte(), all.data(), count,
                              library_.byte(), library_.world(), request);
  });
}

void MpiCommunicator::exchange(std::span<const std::byte> parts, std::span<std::byte> received) {
  const int count = static_cast<int>(parts.size() / size_);
  run("MPI_Ialltoall", [&](auto* request) {
    return library_.alltoall(parts.data(), count, library_.byte(), received.data(), count,
                             library_.byte(), library_.world(), request);
  });
}

void MpiCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  constexpr std::size_t most = std::size_t{1} << 30;
  for (std::size_t first = 0; first < bytes.size(); first += most) {
    const auto part = bytes.subspan(first, std::min(most, bytes.size() - first));
    run("MPI_Ibcast", [&](auto* request) {
      return library_.broadcast(part.data(), static_cast<int>(part.size()), library_.byte(), root,
                                library_.world(), request);
    });
  }
}

void MpiCommunicator::give_up(const std::string& reason) noexcept { alarm_->raise(reason); }

void MpiCommunicator::check_peers() { alarm_->check(); }

void MpiCommunicator::lift_deadline() noexcept {
  deadline_ = std::numeric_limits<double>::infinity();
}

void MpiCommunicator::leave() {
  if (left_) return;
  left_ = true;
  alarm_->close();
  library_.finalize();
}

void MpiCommunicator::abort(int exit_code) noexcept {
  if (left_) return;
  left_ = true;
  library_.abort(library_.world(), exit_code);
}

}  // namespace ffjord::distributed
