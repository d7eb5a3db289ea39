// What opens on this machine, for a report.
#pragma once

#include <string>

namespace ffjord::distributed {

struct LibraryReport {
  std::string name, version, path;
  std::string unusable;  ///< why it does not open; empty where it does
};

}  // namespace ffjord::distributed
