// Whether two ranks run on one machine.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>

namespace ffjord::distributed {

inline std::uint64_t hash_of_host() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  return std::hash<std::string>{}(name);
}

}  // namespace ffjord::distributed
