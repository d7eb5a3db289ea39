// MPI without its headers: the functions that are needed, and the constants of its three binary
// interfaces. A handle is a pointer in Open MPI and in the standard's interface, an int in that of
// MPICH; as an int argument is the low half of a register on x86-64 and AArch64, one prototype with
// intptr_t calls all three.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/launch.h"
#include "distributed/library_report.h"
#include "distributed/shared_library.h"

namespace ffjord::distributed {

class MpiLibrary {
 public:
  using Handle = std::intptr_t;

  /// Opens the library that the environment's FFJORD_MPI names, or the first that is found of the
  /// launcher's make. Throws Error(Unsupported), which says what was tried, and why it does not
  /// open.
  static MpiLibrary open(const Launch& launch);
  /// Of one file.
  explicit MpiLibrary(const std::string& name);

  /// Initialises MPI for calls from one thread at a time. Throws Error(Unsupported).
  void initialise() const;
  /// Version as the library tells it, its first line; and where the library lies.
  std::string version() const;
  std::string path() const { return library_.path("MPI_Init_thread"); }
  /// 'Open MPI', 'MPICH' or 'MPI ABI'.
  const char* make() const { return table_.make; }

  Handle world() const { return table_.world; }
  Handle byte() const { return table_.byte; }
  void* no_status() const { return table_.no_status; }

  // As MPI's own; 0 is success.
  int (*comm_rank)(Handle, int*);
  int (*comm_size)(Handle, int*);
  int (*allgather)(const void*, int, Handle, void*, int, Handle, Handle, Handle*);
  int (*alltoall)(const void*, int, Handle, void*, int, Handle, Handle, Handle*);
  int (*broadcast)(void*, int, Handle, int, Handle, Handle*);
  int (*send)(const void*, int, Handle, int, int, Handle, Handle*);
  int (*receive)(void*, int, Handle, int, int, Handle, Handle*);
  int (*test)(Handle*, int*, void*);
  int (*cancel)(Handle*);
  int (*initialized)(int*);
  int (*finalize)();
  int (*abort)(Handle, int);
  int (*error_string)(int, char*, int*);

 private:
  struct Table {
    const char* make;
    Handle world, byte;
    void* no_status;
    /// Of threads: all at once is asked for, and calls one at a time are enough.
    int multiple, serialized;
    /// Errors come back as codes; 0 where its number is not settled.
    Handle errors_return;
  };
  static Table table_of(const SharedLibrary& library);

  const SharedLibrary library_;
  const Table table_;
  int (*init_thread_)(int*, char***, int, int*);
  int (*comm_set_errhandler_)(Handle, Handle);
  int (*get_library_version_)(char*, int*);
};

/// Of every make the library, or why it does not open.
std::vector<LibraryReport> mpi_libraries();

}  // namespace ffjord::distributed
