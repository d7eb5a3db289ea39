#include "cpu/processors.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#ifdef __linux__
#include <sched.h>

#include "core/control_groups.h"
#endif

namespace ffjord::cpu {
namespace {

constexpr int kMostThreads = 1024;

#ifdef __linux__
int affinity_count(int fallback) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : fallback;
}

// Processors' worth of time a quota grants a period; 0 where there is no quota.
int processors_of(double quota, double period) {
  return quota > 0 && period > 0 ? static_cast<int>(std::ceil(quota / period)) : 0;
}

// Version 2 of control groups: "max 100000" or "150000 100000".
int quota_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return 0;
  return processors_of(std::atof(quota.c_str()), period);
}

int quota_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us"),
      period_file(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  return quota_file >> quota && period_file >> period ? processors_of(quota, period) : 0;
}

// The least quota of this process's groups.
int least_quota(int fallback) {
  int least = fallback;
  for (const std::string& folder : control_group_folders("cpu"))
    for (int quota : {quota_v2(folder), quota_v1(folder)})
      if (quota > 0) least = std::min(least, quota);
  return least;
}
#endif

}  // namespace

int granted_processors() {
  int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#ifdef __linux__
  count = std::min(count, affinity_count(count));
  count = std::min(count, least_quota(count));
#endif
  return std::max(1, count);
}

int thread_count(int wanted) {
  if (wanted <= 0) {
    const char* variable = std::getenv("FFJORD_THREADS");
    wanted = variable ? std::atoi(variable) : 0;
  }
  return wanted > 0 ? std::min(wanted, kMostThreads) : granted_processors();
}

}  // namespace ffjord::cpu
