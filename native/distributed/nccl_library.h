// NCCL without its headers: the functions that are needed, whose constants have been the same since
// NCCL 2.0.
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
  using Communicator = void*;
  using Stream = void*;
  enum class Type : int { Float32 = 7, Float64 = 8 };
  enum class Operation : int { Sum = 0, Max = 2 };
  static constexpr int kSuccess = 0, kInProgress = 7;

  /// Opens the library that the environment's FFJORD_NCCL names, or libnccl.so.2. Throws
  /// Error(Unsupported) with the loader's reason.
  static NcclLibrary open();

  /// As 2.27.3.
  std::string version() const;
  std::string path() const { return library_.path("ncclGetVersion"); }

  // As NCCL's own; 0 is success.
  int (*get_unique_id)(UniqueId*);
  int (*comm_init_rank)(Communicator*, int ranks, UniqueId, int rank);
  int (*all_reduce)(const void*, void*, std::size_t, Type, Operation, Communicator, Stream);
  int (*comm_get_async_error)(Communicator, int*);
  int (*comm_abort)(Communicator);
  int (*comm_destroy)(Communicator);
  const char* (*get_error_string)(int);

 private:
  explicit NcclLibrary(const std::string& name);

  const SharedLibrary library_;
  int (*get_version_)(int*);
};

LibraryReport nccl_report();

}  // namespace ffjord::distributed
