// The control groups that bound this process, where Linux has them: containers are made of these.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ffjord {

/// Folders, of which each may hold the files of `controller` ("cpu", "memory") in version 2 or in
/// version 1; many do not exist. Inside a container its own group shows as the root.
std::vector<std::string> control_group_folders(std::string_view controller);

}  // namespace ffjord
