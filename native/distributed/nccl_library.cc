#include "distributed/nccl_library.h"

#include <cstdlib>

#include "core/errors.h"

namespace ffjord::distributed {

NcclLibrary NcclLibrary::open() {
  const char* const named = std::getenv("FFJORD_NCCL");
  return NcclLibrary(named && *named ? named : "libnccl.so.2");
}

NcclLibrary::NcclLibrary(const std::string& name) : library_(name) {
  library_.load(get_version_, "ncclGetVersion");
  library_.load(get_unique_id, "ncclGetUniqueId");
  library_.load(comm_init_rank, "ncclCommInitRank");
  library_.load(all_reduce, "ncclAllReduce");
  library_.load(comm_get_async_error, "ncclCommGetAsyncError");
  library_.load(comm_abort, "ncclCommAbort");
  library_.load(comm_destroy, "ncclCommDestroy");
  library_.load(get_error_string, "ncclGetErrorString");
}

std::string NcclLibrary::version() const {
  int code = 0;
  if (get_version_(&code) != kSuccess) return "of unknown version";
  // 10000 a major, 100 a minor version; before 2.9 a major one had 1000.
  const int major = code >= 10000 ? code / 10000 : code / 1000;
  const int rest = code >= 10000 ? code % 10000 : code % 1000;
  return "NCCL " + std::to_string(major) + "." + std::to_string(rest / 100) + "." +
         std::to_string(rest % 100);
}

LibraryReport nccl_report() {
  try {
    const NcclLibrary library = NcclLibrary::open();
    return {"NCCL", library.version(), library.path(), ""};
  } catch (const Error& error) {
    return {"NCCL", "", "", error.what()};
  }
}

}  // namespace ffjord::distributed
