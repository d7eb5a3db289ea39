#include "distributed/nccl_library.h"

#include <cstdlib>

#include "core/errors.h"

namespace ffjord::distributed {
namespace {

constexpr int kOldest = 21400;

// 10000 a major, 100 a minor version; before 2.9 a major one had 1000.
std::string version_words(int code) {
  const int major = code >= 10000 ? code / 10000 : code / 1000;
  const int rest = code >= 10000 ? code % 10000 : code % 1000;
  return "NCCL " + std::to_string(major) + "." + std::to_string(rest / 100) + "." +
         std::to_string(rest % 100);
}

// In place of the name of a file.
const std::string& wanted(const std::string& name) {
  if (name == "none") throw Error(ErrorCode::Unsupported, "FFJORD_NCCL is 'none'");
  return name;
}

}  // namespace

std::string NcclLibrary::usual_name() {
  const char* const named = std::getenv("FFJORD_NCCL");
  return named && *named ? named : "libnccl.so.2";
}

NcclLibrary::NcclLibrary(const std::string& name) : library_(wanted(name)) {
  require_version();
  library_.load(get_unique_id, "ncclGetUniqueId");
  library_.load(comm_init_rank, "ncclCommInitRankConfig");
  library_.load(all_reduce, "ncclAllReduce");
  library_.load(comm_get_async_error, "ncclCommGetAsyncError");
  library_.load(comm_finalize, "ncclCommFinalize");
  library_.load(comm_destroy, "ncclCommDestroy");
  library_.load(comm_abort, "ncclCommAbort");
  library_.load(get_error_string_, "ncclGetErrorString");
  library_.load(get_last_error_, "ncclGetLastError");
}

// Before the other functions, which an old library may lack.
void NcclLibrary::require_version() {
  int (*get_version)(int*);
  library_.load(get_version, "ncclGetVersion");
  if (get_version(&code_) != kSuccess)
    throw Error(ErrorCode::Unsupported, path() + " does not tell its version");
  if (code_ < kOldest)
    throw Error(ErrorCode::Unsupported, path() + " is " + version_words(code_) +
                                            ", whose calls block for good where a rank hangs; "
                                            "install " +
                                            version_words(kOldest) + " or newer");
}

std::string NcclLibrary::version() const { return version_words(code_); }

std::string NcclLibrary::words(int code) const {
  const char* const text = get_error_string_(code);
  const char* const last = get_last_error_(nullptr);
  std::string all = text ? text : "error " + std::to_string(code);
  if (last && *last) all += std::string(" (") + last + ")";
  return all;
}

LibraryReport nccl_report() {
  try {
    const NcclLibrary library(NcclLibrary::usual_name());
    return {"NCCL", library.version(), library.path(), ""};
  } catch (const Error& error) {
    return {"NCCL", "", "", error.what()};
  }
}

}  // namespace ffjord::distributed
