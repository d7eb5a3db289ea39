// Who started this process, as its environment says.
#pragma once

#include <string>

namespace ffjord::distributed {

struct Launch {
  enum class Kind { Alone, OpenMpi, Hydra, Slurm };
  Kind kind = Kind::Alone;
  int rank = 0, size = 1;
  /// In words, as "Open MPI's mpirun"; empty of a process of its own.
  std::string name;
};

/// A job of one process has no launcher, whoever started it. Within a batch script of Slurm only
/// steps of srun are ranks: SLURM_NTASKS stands there for every other program, too.
/// Throws Error(PeerLost) where the launcher's connection did not reach this process.
Launch find_launch();

}  // namespace ffjord::distributed
