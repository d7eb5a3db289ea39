#include "distributed/launch.h"

#include <fcntl.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/errors.h"

namespace ffjord::distributed {
namespace {

std::optional<int> number(const char* variable) {
  const char* text = std::getenv(variable);
  if (!text) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  if (error != std::errc() || *end != 0 || value < 0) return std::nullopt;
  return value;
}

struct Variables {
  Launch::Kind kind;
  const char *name, *size, *rank;
};

// The first whose variables are set counts: mpirun within a step of srun starts ranks of its own.
constexpr Variables kVariables[] = {
    {Launch::Kind::OpenMpi, "Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
    {Launch::Kind::Hydra, "MPICH's mpiexec", "PMI_SIZE", "PMI_RANK"},
    {Launch::Kind::Slurm, "Slurm's srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
};

// Hydra talks to a rank by a file descriptor that it inherits. Node closes those of its parent in
// what it starts, as npx does.
void require_connection() {
  const auto descriptor = number("PMI_FD");
  if (descriptor && fcntl(*descriptor, F_GETFD) == -1)
    throw Error(ErrorCode::PeerLost,
                "the connection of MPICH's mpiexec did not reach this process, as npx, which "
                "started it, closes it; start node_modules/.bin/ffjord in place of npx ffjord, or "
                "give mpiexec the option -pmi-port");
}

}  // namespace

Launch find_launch() {
  for (const Variables& known : kVariables) {
    const auto size = number(known.size), rank = number(known.rank);
    if (!size || !rank) continue;
    if (*size <= 1) return {};
    if (known.kind == Launch::Kind::Hydra) require_connection();
    return {known.kind, *rank, *size, known.name};
  }
  return {};
}

}  // namespace ffjord::distributed
