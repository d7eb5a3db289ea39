// NCCL without its headers: the functions that are needed, whose constants have been the same since
// NCCL 2.0, and the configuration of NCCL 2.14, from which on calls need not block.
#pragma once

#include <cstddef>
#include <string>

#include "distributed/library_report.h"
#include "distributed/shared_library.h"

namespace ffjord::distributed {

class NcclLibrary {
 public:
  /// What the ranks of a communicator share; rank 0 makes it, MPI carries it.
  struct UniqueId {
    char bytes[128];
  };
  /// As NCCL 2.14 has it. Later ones have more members; by size and version they know that these
  /// are not given.
  struct Configuration {
    std::size_t size = sizeof(Configuration);
    unsigned magic = 0xcafebeef, version = 21400;
    int blocking = 0;
  };
  using Communicator = void*;
  using Stream = void*;
  enum class Type : int { Float32 = 7 };
  enum class Operation : int { Sum = 0 };
  static constexpr int kSuccess = 0, kInProgress = 7;

  /// The file that the environment's FFJORD_NCCL names, or libnccl.so.2; 'none' opens none.
  static std::string usual_name();
  /// Throws Error(Unsupported) with the loader's reason, or what it lacks.
  explicit NcclLibrary(const std::string& name);

  /// As "NCCL 2.27.3", and as NCCL codes it: 22703.
  std::string version() const;
  int version_code() const { return code_; }
  std::string path() const { return library_.path("ncclGetVersion"); }
  /// A code of NCCL's in words, with what it says of the last failure.
  std::string words(int code) const;

  // As NCCL's own; 0 is success.
  int (*get_unique_id)(UniqueId*);
  int (*comm_init_rank)(Communicator*, int ranks, UniqueId, int rank, Configuration*);
  int (*all_reduce)(const void*, void*, std::size_t, Type, Operation, Communicator, Stream);
  int (*comm_get_async_error)(Communicator, int*);
  int (*comm_finalize)(Communicator);
  int (*comm_destroy)(Communicator);
  int (*comm_abort)(Communicator);

 private:
  void require_version();

  const SharedLibrary library_;
  int code_ = 0;
  const char* (*get_error_string_)(int);
  const char* (*get_last_error_)(Communicator);
};

/// Of the usual one.
LibraryReport nccl_report();

}  // namespace ffjord::distributed
