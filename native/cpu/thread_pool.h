// The threads of this process that help with solves. No thread starts before a job needs it.
#pragma once

#include <cstddef>
#include <functional>

namespace ffjord::cpu {

class ThreadPool;

/// What runs one item of a job. `worker` is below the team's size and no two items run under one
/// worker at once, so it may index scratch memory; 0 is the caller.
using Job = std::function<void(int worker, std::size_t item)>;

/// The threads of one call: its caller and the pool's workers. Where there are several teams at
/// once, one has the workers, the others run alone; results must not depend on it.
class Team {
 public:
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// The most workers that `run` uses.
  int size() const { return threads_; }

  /// Runs items 0 … items − 1 in any order, each once, and returns when all are done. Of
  /// exceptions, that of the lowest item is thrown; items after it may not have run. A single item
  /// never leaves the caller. Not to be called from within a job.
  void run(std::size_t items, const Job& job);

 private:
  const int threads_;
  ThreadPool* pool_ = nullptr;  // none until a job of several items finds the workers free
};

}  // namespace ffjord::cpu
