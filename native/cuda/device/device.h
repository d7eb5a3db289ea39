// The cards of this machine, and why there is none to use.
#pragma once

#include <string>
#include <vector>

namespace ffjord::cuda {

struct Device {
  int index = 0;
  std::string name;         ///< 'cuda:0'
  std::string description;  ///< "float32, NVIDIA H200"
  std::string unusable;     ///< why it cannot be used, with a remedy; empty if it can
};

/// One entry a card; where there is none, a single entry that says why. Takes no memory of a card.
std::vector<Device> devices();

}  // namespace ffjord::cuda
