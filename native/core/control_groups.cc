#include "core/control_groups.h"

#include <fstream>

namespace ffjord {

std::vector<std::string> control_group_folders(std::string_view controller) {
  const std::string root = "/sys/fs/cgroup", first_version = root + "/" + std::string(controller);
  std::vector<std::string> folders = {root, first_version};
  std::ifstream groups("/proc/self/cgroup");  // lines of id:controllers:/group
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers.find(controller) == std::string::npos) continue;
    // The group, and those around it.
    for (std::string group = line.substr(second + 1); group.size() > 1;
         group.resize(group.rfind('/')))
      folders.push_back((controllers.empty() ? root : first_version) + group);
  }
  return folders;
}

}  // namespace ffjord
