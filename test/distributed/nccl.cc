// A library with the binary interface of NCCL 2.14 and later, for machines without cards: ranks, be
// they threads or processes, add up arrays of the host by a file that all of them map, or the
// memory of emulated cards. It adds in an order of its own, the last rank first. As NCCL's of
// communicators that do not block, its calls return at once, and a rank that waits for others waits
// for good. NCCL_STAND_IN in the environment names what goes wrong, and on which rank:
//   hang=1     its sums never come to the others
//   fail=1     its sums end by an error
//   refuse=1   it is not linked
//   no-id=0    nor is any rank
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#ifndef NCCL_STAND_IN_VERSION
#define NCCL_STAND_IN_VERSION 22703
#endif

namespace {

constexpr int kSuccess = 0, kSystemError = 2, kInvalidArgument = 4, kRemoteError = 6,
              kInProgress = 7;
constexpr int kFloat32 = 7, kSum = 0;
constexpr int kMostRanks = 8;
constexpr std::size_t kMostValues = std::size_t{1} << 18;

// What the ranks of a communicator share.
struct Shared {
  std::atomic<int> here, round;
  float values[kMostRanks][kMostValues];
};

[[maybe_unused]] bool goes_wrong(const char* what, int rank) {
  const char* const named = std::getenv("NCCL_STAND_IN");
  return named && named == std::string(what) + "=" + std::to_string(rank);
}

std::atomic<int> open_links = 0, aborts = 0;

struct Link {
  Link(const char* path, int ranks, int rank) : ranks(ranks), rank(rank) {
    const int file = open(path, O_RDWR);
    if (file < 0) return;
    void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) shared = static_cast<Shared*>(memory);
  }
  ~Link() {
    aborted = true;
    if (work.joinable()) work.join();
    if (shared) munmap(shared, sizeof(Shared));
  }

  template <class Body>
  void begin(const Body& body) {
    if (work.joinable()) work.join();
    state = kInProgress;
    work = std::thread([this, body] { state = body(); });
  }

  // Whether all ranks came.
  bool meet() {
    if (aborted) return false;
    const int round = shared->round;
    if (shared->here.fetch_add(1) + 1 == ranks) {
      shared->here = 0;
      ++shared->round;
      return true;
    }
    while (shared->round == round && !aborted) nap();
    return shared->round != round;
  }
  static void nap() { std::this_thread::sleep_for(std::chrono::microseconds(50)); }

  const int ranks, rank;
  Shared* shared = nullptr;
  std::atomic<int> state = kSuccess;
  std::atomic<bool> aborted = false;
  std::thread work;
};

// Copies values of a card, which the stream's first member lets the host touch; without a stream
// they are the host's.
[[maybe_unused]] void copy(void* target, const void* source, std::size_t bytes, void* stream) {
  struct Copy {
    void* target;
    const void* source;
    std::size_t bytes;
  } one{target, source, bytes};
  void (*const work)(void*) = [](void* argument) {
    const Copy& copy = *static_cast<Copy*>(argument);
    std::memcpy(copy.target, copy.source, copy.bytes);
  };
  if (!stream) return work(&one);
  using WithMemory = void (*)(void (*)(void*), void*);
  (*static_cast<WithMemory*>(stream))(work, &one);
}

}  // namespace

extern "C" {

struct ncclUniqueId {
  char path[128];
};
struct ncclConfig {
  std::size_t size;
  unsigned magic, version;
  int blocking;
};

int ncclGetVersion(int* version) {
  *version = NCCL_STAND_IN_VERSION;
  return kSuccess;
}

const char* ncclGetErrorString(int code) {
  return code == kRemoteError ? "remote process exited or there was a network error"
                              : "unhandled system error";
}

const char* ncclGetLastError(void*) { return "told by the stand-in"; }

#if NCCL_STAND_IN_VERSION >= 21400

int ncclGetUniqueId(ncclUniqueId* id) {
  if (goes_wrong("no-id", 0)) return kSystemError;
  std::strcpy(id->path, "/dev/shm/nccl-stand-in-XXXXXX");
  const int file = mkstemp(id->path);
  const bool made = file >= 0 && ftruncate(file, sizeof(Shared)) == 0;
  close(file);
  return made ? kSuccess : kSystemError;
}

int ncclCommInitRankConfig(void** link, int ranks, ncclUniqueId id, int rank, ncclConfig* given) {
  if (given->magic != 0xcafebeef || given->version < 21400 || given->size < 24 ||
      given->blocking != 0 || ranks > kMostRanks)
    return kInvalidArgument;
  if (goes_wrong("refuse", rank)) return kSystemError;
  auto made = std::make_unique<Link>(id.path, ranks, rank);
  if (!made->shared) return kSystemError;
  ++open_links;
  Link* const one = made.release();
  *link = one;
  one->begin([one, path = std::string(id.path)] {
    if (!one->meet()) return kRemoteError;
    if (one->rank == 0) unlink(path.c_str());
    return kSuccess;
  });
  return kInProgress;
}

int ncclAllReduce(const void* source, void* target, std::size_t count, int type, int operation,
                  void* link, void* stream) {
  Link* const one = static_cast<Link*>(link);
  if (type != kFloat32 || operation != kSum || count > kMostValues || one->state != kSuccess)
    return kInvalidArgument;
  one->begin([=] {
    if (goes_wrong("fail", one->rank)) return kRemoteError;
    while (goes_wrong("hang", one->rank) && !one->aborted) Link::nap();
    float* const own = one->shared->values[one->rank];
    copy(own, source, count * sizeof(float), stream);
    if (!one->meet()) return kRemoteError;
    const auto sums = std::make_unique<float[]>(count);
    for (int rank = one->ranks - 1; rank >= 0; --rank)
      for (std::size_t i = 0; i < count; ++i) sums[i] += one->shared->values[rank][i];
    if (!one->meet()) return kRemoteError;
    copy(target, sums.get(), count * sizeof(float), stream);
    return kSuccess;
  });
  return kInProgress;
}

int ncclCommGetAsyncError(void* link, int* state) {
  *state = static_cast<Link*>(link)->state;
  return kSuccess;
}

int ncclCommFinalize(void* link) {
  Link* const one = static_cast<Link*>(link);
  one->begin([one] { return one->meet() ? kSuccess : kRemoteError; });
  return kInProgress;
}

int ncclCommDestroy(void* link) {
  delete static_cast<Link*>(link);
  --open_links;
  return kSuccess;
}

#ifndef NCCL_STAND_IN_WITHOUT_ABORT
int ncclCommAbort(void* link) {
  ++aborts;
  return ncclCommDestroy(link);
}
#endif

#endif

// For checks: links that were neither destroyed nor aborted, and how many were aborted.
int stand_in_open() { return open_links; }
int stand_in_aborts() { return aborts; }

}  // extern "C"
