#include "distributed/nccl_link.h"

#include <utility>

#include "core/errors.h"
#include "distributed/patience.h"

namespace ffjord::distributed {

using Library = NcclLibrary;

NcclLink::NcclLink(const Library& library, Communicator& peers, const Library::UniqueId& id,
                   double deadline)
    : library_(library), peers_(peers) {
  Library::Configuration configuration;
  begin("ncclCommInitRankConfig",
        library_.comm_init_rank(&link_, peers_.size(), id, peers_.rank(), &configuration));
  wait("ncclCommInitRankConfig", deadline, [] { return true; });
}

void NcclLink::sum(DeviceValues& values, double deadline) {
  values.enter();
  // The deadline is for the others.
  for (Patience patience; !values.is_done(); patience.wait()) {
  }
  float* const at = values.on_card();
  begin("ncclAllReduce", library_.all_reduce(at, at, values.count(), Library::Type::Float32,
                                             Library::Operation::Sum, link_, values.stream()));
  wait("ncclAllReduce", deadline, [&] { return values.is_done(); });
}

void NcclLink::close(double deadline) {
  if (!link_) return;
  begin("ncclCommFinalize", library_.comm_finalize(link_));
  wait("ncclCommFinalize", deadline, [] { return true; });
  library_.comm_destroy(std::exchange(link_, nullptr));
}

void NcclLink::abort() noexcept {
  if (link_) library_.comm_abort(std::exchange(link_, nullptr));
}

void NcclLink::begin(const char* what, int code) {
  if (code != Library::kSuccess && code != Library::kInProgress) fail(what, code);
}

// Until the library is past its part of a call, and then `done`.
template <class Done>
void NcclLink::wait(const char* what, double deadline, const Done& done) {
  try {
    for (Patience patience;; patience.wait()) {
      int state = Library::kSuccess;
      begin("ncclCommGetAsyncError", library_.comm_get_async_error(link_, &state));
      begin(what, state);
      if (state == Library::kSuccess && done()) return;
      if (patience.over(kLong)) peers_.check_peers();
      if (patience.over(deadline)) throw OthersAreLate(peers_.rank(), deadline);
    }
  } catch (...) {
    abort();
    throw;
  }
}

void NcclLink::fail(const char* what, int code) {
  const std::string words = library_.words(code);
  abort();
  throw Error(ErrorCode::PeerLost, std::string(what) + " of " + library_.version() + " (" +
                                       library_.path() + ") failed on rank " +
                                       std::to_string(peers_.rank()) + ": " + words +
                                       "; go on from the last checkpoint, or without NCCL "
                                       "(FFJORD_NCCL=none in the environment)");
}

}  // namespace ffjord::distributed
