#include <algorithm>
#include <map>
#include <mutex>

#include "cuda/device/intrinsics.h"
#include "cuda/device/stream.h"
#include "cuda/product/products.h"

namespace ffjord::cuda {
namespace {

// What products may use.
struct Abilities {
  bool tensor_cores = false;  // those of compute capability 8.0
  bool warpgroups = false;
};

Abilities abilities_of(int device) {
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "device");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "device");
  const LoadedCode code = loaded_code();
  const int capability = 10 * major + minor;
  return {std::min(capability, code.capability) >= 80, capability == 90 && code.warpgroups};
}

// Known by the device's number. Built when the addon is loaded, so that it outlives all threads
// that run jobs.
std::mutex known_mutex;
std::map<int, Abilities> known;

// Asks the current device once, as every product wants to know.
Abilities abilities() {
  int device = 0;
  check(cudaGetDevice(&device), "device");
  const std::scoped_lock lock(known_mutex);
  const auto [at, is_new] = known.try_emplace(device);
  if (is_new) at->second = abilities_of(device);
  return at->second;
}

}  // namespace

bool has_warpgroup_products() { return abilities().warpgroups; }

Products chosen_products(const CudaOptions& options) {
  if (options.products == CudaOptions::Products::Float32 || !abilities().tensor_cores)
    return Products::Float32;
  return has_warpgroup_products() ? Products::WarpgroupHalf3 : Products::Half3;
}

}  // namespace ffjord::cuda
