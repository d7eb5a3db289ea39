// How a process finds the others of its job.
#pragma once

#include <memory>

#include "core/communicator.h"

namespace ffjord::distributed {

/// The ranks that a launcher started, by the library of its make; a process of its own is a group
/// of one, for which no library is opened. `deadline`: seconds that one call may wait for the
/// others.
std::unique_ptr<Communicator> join(double deadline);

}  // namespace ffjord::distributed
