#include "distributed/mpi_library.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/errors.h"

namespace ffjord::distributed {
namespace {

using Names = std::vector<std::string>;

#ifdef __APPLE__
const Names kOpenMpi{"libmpi.40.dylib", "libmpi.dylib"};
const Names kMpich{"libmpi.12.dylib", "libmpich.dylib"};
const Names kStandard{"libmpi_abi.0.dylib", "libmpi_abi.dylib"};
#else
const Names kOpenMpi{"libmpi.so.40", "libmpi.so.80"};
const Names kMpich{"libmpi.so.12", "libmpich.so.12"};
const Names kStandard{"libmpi_abi.so.0", "libmpi_abi.so"};
#endif

Names joined(std::initializer_list<const Names*> lists) {
  Names all;
  for (const Names* list : lists) all.insert(all.end(), list->begin(), list->end());
  return all;
}

// The launcher's make first, then the standard's interface, which may be of any.
Names candidates(const Launch& launch) {
  if (launch.kind == Launch::Kind::OpenMpi) return joined({&kOpenMpi, &kStandard});
  if (launch.kind == Launch::Kind::Hydra) return joined({&kMpich, &kStandard});
  return joined({&kStandard, &kOpenMpi, &kMpich});
}

// UCX, which MPICH and others send by, patches the C library's allocator while threads run and
// takes SIGSEGV from the engine of JavaScript. One run in 80 of two ranks ended so, in an
// allocation of Node's. Copies between processes need neither.
const std::string& without_hooks(const std::string& name) {
  setenv("UCX_MEM_EVENTS", "no", 0);
  setenv("UCX_ERROR_SIGNALS", "", 0);
  return name;
}

}  // namespace

MpiLibrary MpiLibrary::open(const Launch& launch) {
  if (const char* named = std::getenv("FFJORD_MPI"); named && *named) return MpiLibrary(named);
  std::string reasons;
  for (const std::string& name : candidates(launch)) {
    try {
      return MpiLibrary(name);
    } catch (const Error& error) {
      reasons += (reasons.empty() ? "" : "; ") + std::string(error.what());
    }
  }
  throw Error(ErrorCode::Unsupported,
              "this process is one of " + std::to_string(launch.size) + " that " + launch.name +
                  " started, and no library of MPI opens (" + reasons +
                  "); install the one that belongs to the launcher, or name its file in the "
                  "environment's FFJORD_MPI");
}

MpiLibrary::Table MpiLibrary::table_of(const SharedLibrary& library) {
  const auto address = [&](const char* symbol) {
    return reinterpret_cast<Handle>(library.find(symbol));
  };
  // Libraries of Open MPI may carry MPI_Abi_get_version as well; the file's name tells whose
  // constants its functions take.
  if (library.name().find("mpi_abi") != std::string::npos)
    return {"MPI ABI", 0x101, 0x247, nullptr, 4096, 2048, 0};
  if (address("ompi_mpi_comm_world") != 0)
    return {"Open MPI", address("ompi_mpi_comm_world"),   address("ompi_mpi_byte"), nullptr, 3,
            2,          address("ompi_mpi_errors_return")};
  return {"MPICH", 0x44000000, 0x4c00010d, reinterpret_cast<void*>(1), 3, 2, 0x54000001};
}

MpiLibrary::MpiLibrary(const std::string& name)
    : library_(without_hooks(name)), table_(table_of(library_)) {
  library_.load(comm_rank, "MPI_Comm_rank");
  library_.load(comm_size, "MPI_Comm_size");
  library_.load(allgather, "MPI_Iallgather");
  library_.load(alltoall, "MPI_Ialltoall");
  library_.load(broadcast, "MPI_Ibcast");
  library_.load(send, "MPI_Isend");
  library_.load(receive, "MPI_Irecv");
  library_.load(test, "MPI_Test");
  library_.load(cancel, "MPI_Cancel");
  library_.load(initialized, "MPI_Initialized");
  library_.load(finalize, "MPI_Finalize");
  library_.load(abort, "MPI_Abort");
  library_.load(error_string, "MPI_Error_string");
  library_.load(init_thread_, "MPI_Init_thread");
  library_.load(comm_set_errhandler_, "MPI_Comm_set_errhandler");
  library_.load(get_library_version_, "MPI_Get_library_version");
}

void MpiLibrary::initialise() const {
  int already = 0, provided = 0;
  if (initialized(&already) != 0 || already)
    throw Error(ErrorCode::Unsupported,
                "MPI was initialised in this process before; join a group once, and use it for "
                "all that trains");
  if (init_thread_(nullptr, nullptr, table_.multiple, &provided) != 0)
    throw Error(ErrorCode::Unsupported, version() + " does not initialise");
  if (provided < table_.serialized)
    throw Error(ErrorCode::Unsupported,
                version() +
                    " takes calls of the main thread alone; use a library that was built "
                    "with support of threads");
  if (table_.errors_return != 0) comm_set_errhandler_(table_.world, table_.errors_return);
}

std::string MpiLibrary::version() const {
  // MPI_MAX_LIBRARY_VERSION_STRING is 256 in Open MPI and 8192 in the others.
  std::string text(8192, '\0');
  int length = 0;
  if (get_library_version_(text.data(), &length) != 0) return make();
  text.resize(std::clamp(length, 0, int(text.size())));
  for (char& c : text)
    if (c == '\t') c = ' ';
  // One line; Open MPI lists its package, its ident and more behind commas.
  text.resize(std::min(text.size(), text.find_first_of(std::string_view(",\n\0", 3))));
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::vector<LibraryReport> mpi_libraries() {
  std::vector<LibraryReport> reports;
  const auto report = [&](const char* make, const Names& names) {
    LibraryReport found{make, "", "", ""};
    for (const std::string& name : names) {
      try {
        const MpiLibrary library(name);
        reports.push_back({make, library.version(), library.path(), ""});
        return;
      } catch (const Error& error) {
        found.unusable += (found.unusable.empty() ? "" : "; ") + std::string(error.what());
      }
    }
    reports.push_back(found);
  };
  report("Open MPI", kOpenMpi);
  report("MPICH", kMpich);
  report("MPI ABI", kStandard);
  if (const char* named = std::getenv("FFJORD_MPI"); named && *named) report("FFJORD_MPI", {named});
  return reports;
}

}  // namespace ffjord::distributed
