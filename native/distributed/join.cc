#include "distributed/join.h"

#include "distributed/launch.h"
#include "distributed/mpi_communicator.h"
#include "distributed/nccl_communicator.h"
#include "distributed/single.h"

namespace ffjord::distributed {

std::unique_ptr<Communicator> join(double deadline) {
  const Launch launch = find_launch();
  if (launch.kind == Launch::Kind::Alone) return std::make_unique<Single>();
  auto ranks = std::make_unique<MpiCommunicator>(MpiLibrary::open(launch), launch, deadline);
  return std::make_unique<NcclCommunicator>(std::move(ranks), deadline);
}

}  // namespace ffjord::distributed
