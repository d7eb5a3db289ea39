// How many processors this process may keep busy.
#pragma once

namespace ffjord::cpu {

/// The least of the machine's processors, the affinity mask and the cgroup's quota; at least 1.
int granted_processors();

/// `wanted` where positive, else FFJORD_THREADS from the environment, else granted_processors().
int thread_count(int wanted);

}  // namespace ffjord::cpu
